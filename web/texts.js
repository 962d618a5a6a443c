/**
 * Every text that web/ shows, in English and in Chinese. Names of nodes and inputs are in locales/ instead.
 *
 * `texts(locale)(key, {name: value})` fills in {name}. tests/package/test_texts.py compares the names in both languages.
 */

import { CHOICES } from "./choices_zh.js"
import { inChinese } from "./messages.js"

// key: [English, Chinese]
export const TEXTS = {
  browse: ["Browse the bucket", "浏览存储桶"],
  browse_for: ["Browse for {name}", "为“{name}”选择"],
  browse_local: ["From ComfyUI's folders", "从 ComfyUI 文件夹选择"],
  upload: ["From this computer", "从本机选择"],
  uploading: ["Uploading to ComfyUI…", "正在上传到 ComfyUI…"],
  this_comfyui: ["ComfyUI's own folders", "ComfyUI 自己的文件夹"],
  too_large: [
    "The file is too large for ComfyUI. Start it with a larger --max-upload-size, or copy the file into its input folder.",
    "文件太大，ComfyUI 无法接受。请用更大的 --max-upload-size 启动它，或把文件放入其 input 文件夹。",
  ],
  not_uploaded: [
    "ComfyUI did not accept the file (HTTP {status}). Copy it into ComfyUI's input folder and choose it there.",
    "ComfyUI 未接受该文件（HTTP {status}）。请把它放入 ComfyUI 的 input 文件夹，再在此选择。",
  ],
  test: ["Test connection", "测试连接"],
  testing: ["Testing…", "正在测试…"],
  test_looks_only: [
    "Nothing was written. To test writing as well, run a Test Cloud Connection node.",
    "未写入任何内容。如需测试写入，请运行“测试云连接”节点。",
  ],
  setup_title: ["Set up a bucket", "设置存储桶"],
  setup_command: ["Cloud Storage: Set up a bucket", "云存储：设置存储桶"],
  setup_intro: [
    "Your files go into this bucket. The access key is kept on the machine that runs ComfyUI, and in no workflow.",
    "您的文件将存入此存储桶。访问密钥只保存在运行 ComfyUI 的机器上，不会写入任何工作流。",
  ],
  setup_provider: ["Provider", "服务商"],
  setup_endpoint_url: ["Address of the server", "服务器地址"],
  setup_account_id: ["Account", "账户"],
  setup_region: ["Region", "地域"],
  setup_bucket: ["Bucket", "存储桶"],
  setup_path_prefix: ["Folder in the bucket", "存储桶中的文件夹"],
  setup_access_key: ["Access key", "访问密钥"],
  setup_secret_key: ["Its secret", "私密部分（Secret）"],
  setup_name: ["Name of the profile", "配置名称"],
  setup_name_hint: ["You choose it in Cloud Storage Profile.", "用于在“云存储配置”节点中选择。"],
  setup_default: ["Use it for nodes without a profile", "未连接配置的节点使用它"],
  setup_optional: ["Optional", "可选"],
  setup_test: ["Test", "测试"],
  setup_save: ["Save", "保存"],
  setup_save_anyway: ["Save anyway", "仍然保存"],
  setup_replace: ["Replace {name}", "替换 {name}"],
  setup_exists: [
    "There is a profile {name} already. Press Replace, or give another name.",
    "已有名为 {name} 的配置。请按“替换”，或换一个名称。",
  ],
  setup_works: ["It works. Press Save to keep it.", "可以使用。请按“保存”。"],
  setup_fails: [
    "This bucket cannot be used like this yet. Correct the fields and test again.",
    "目前还无法这样使用此存储桶。请更正后再次测试。",
  ],
  setup_saved: ["The bucket is set up", "存储桶已设置好"],
  setup_saved_default: ["All nodes use it now.", "所有节点现在都会使用它。"],
  setup_saved_named: ["Choose {name} in a Cloud Storage Profile node.", "请在“云存储配置”节点中选择 {name}。"],
  setup_file: ["Either the file {place}", "可以写入文件 {place}"],
  setup_environment: ["Or environment variables where ComfyUI is started", "或在启动 ComfyUI 处设置环境变量"],
  setup_by_hand: [
    "Write the access key and its secret for {secret}. Only ComfyUI's user should be able to read the file (chmod 600).",
    "请把 {secret} 换成访问密钥及其私密部分。该文件应只有 ComfyUI 的用户可以读取（chmod 600）。",
  ],
  inside_open: ["Open the workflow inside", "打开其中的工作流"],
  inside_none: ["{name} cannot be opened as a workflow", "无法将 {name} 作为工作流打开"],
  inside_prompt: ["The file has only the prompt of the API", "该文件只有 API 的 prompt"],
  inside_prompt_help: [
    "The nodes and their values are there; their places, groups and notes are not.",
    "节点及其值都在；位置、分组和注释则没有。",
  ],
  inside_unreadable: [
    "ComfyUI could not open the workflow: {reason}. Download the file and look into it.",
    "ComfyUI 无法打开该工作流：{reason}。请下载该文件并查看。",
  ],
  pick_file: ["Choose a file", "选择文件"],
  pick_folder: ["Choose a folder", "选择文件夹"],
  choose: ["Choose", "选择"],
  choose_folder: ["Use folder {name}", "使用文件夹 {name}"],
  choose_top: ["Use the top folder", "使用根目录"],
  cancel: ["Cancel", "取消"],
  close: ["Close", "关闭"],
  reload: ["Reload", "刷新"],
  retry: ["Try again", "重试"],
  search: ["Search below this folder", "在此文件夹下搜索"],
  folders: ["Current folder", "当前文件夹"],
  top: ["Top", "根目录"],
  entries: ["Folders and files", "文件夹和文件"],
  empty: ["Nothing here yet.", "这里还没有内容。"],
  nothing_found: ["Nothing found.", "没有找到。"],
  nothing_of_kind: [
    "This folder has only files of other kinds. Choose “All files” to see them.",
    "这里只有其他类型的文件。选择“所有文件”即可查看。",
  ],
  loading: ["Loading…", "正在加载…"],
  more: ["Load more", "加载更多"],
  count_one: ["1 item", "1 项"],
  count: ["{count} items", "{count} 项"],
  count_more: ["{count} items, and there are more", "{count} 项，还有更多"],
  count_first: ["{order}: the first {count} of {total} files", "{order}：前 {count} 个，共 {total} 个文件"],
  hidden_one: ["1 file of another kind hidden", "另有 1 个其他类型的文件未显示"],
  hidden: ["{hidden} files of other kinds hidden", "另有 {hidden} 个其他类型的文件未显示"],
  incomplete: [
    "This folder has too many files to sort them all. Only the first {total} by name were sorted. Open a subfolder or search to narrow it down.",
    "此文件夹中的文件太多，无法全部排序：只对按名称排在最前的 {total} 个进行了排序。请打开子文件夹或搜索以缩小范围。",
  ],
  kind: ["Kind of file", "文件类型"],
  kind_image: ["Images", "图像"],
  kind_video: ["Videos", "视频"],
  kind_audio: ["Audio and videos", "音频和视频"],
  kind_model: ["Models", "模型"],
  kind_text: ["Text files", "文本文件"],
  kind_latent: ["Latents", "Latent 文件"],
  kind_all: ["All files", "所有文件"],
  sort: ["Order", "排序"],
  sort_name: ["Name", "名称"],
  sort_newest: ["Newest first", "最新优先"],
  sort_largest: ["Largest first", "最大优先"],
  folder: ["folder", "文件夹"],
  size: ["{width} × {height} pixels", "{width} × {height} 像素"],
  size_frames: ["{width} × {height} pixels, {frames} frames", "{width} × {height} 像素，{frames} 帧"],
  copy: ["Copy", "复制"],
  copy_all: ["Copy all", "全部复制"],
  copied: ["Copied", "已复制"],
  result: ["Result of {name}", "{name} 的结果"],
  running: ["Running…", "正在运行…"],
  unfinished: ["Not finished: the run was stopped.", "未完成：运行已停止。"],
  unreadable_profile: [
    "The bucket cannot be browsed, because inputs of the profile are connected. Type their values into the Cloud Storage Profile node instead, or type the key here.",
    "“云存储配置”节点的输入已有连接，因此无法浏览存储桶。请直接在该节点中填写这些值，或在此填写对象名称。",
  ],
  cloud_title: ["Cloud", "云端"],
  cloud_tooltip: ["Cloud: files, models and transfers", "云端：文件、模型和传输"],
  cloud_files: ["Files", "文件"],
  cloud_models: ["Models", "模型"],
  cloud_transfers: ["Transfers", "传输"],
  cloud_models_count: ["{count} downloading", "{count} 个正在下载"],
  cloud_transfers_count: ["{count} waiting to be uploaded", "{count} 个等待上传"],
  models_title: ["Cloud models", "云端模型"],
  models_search: ["Search models", "搜索模型"],
  models_refresh: ["List the bucket again", "重新列出存储桶"],
  models_workflow: ["This workflow", "当前工作流"],
  models_unnamed: ["names no models", "未使用模型"],
  models_counts: [
    "{here} here, {bucket} in the bucket, {missing} missing",
    "本机 {here} 个，存储桶 {bucket} 个，缺少 {missing} 个",
  ],
  models_get_all: ["Download all ({size})", "全部下载（{size}）"],
  models_get: ["Download {name}", "下载 {name}"],
  models_cancel: ["Cancel {name}", "取消 {name}"],
  models_downloads: ["Downloads", "下载"],
  models_clear: ["Clear", "清除"],
  models_bucket: ["In the bucket", "存储桶中的模型"],
  models_count_one: ["1 model", "1 个模型"],
  models_count: ["{count} models", "{count} 个模型"],
  models_found: ["{count} of {total} models", "{count} / {total} 个模型"],
  models_here: ["here", "已在本机"],
  models_in_bucket: ["in the bucket", "在存储桶中"],
  models_missing: ["missing: neither here nor in the bucket", "缺少：本机和存储桶中都没有"],
  models_as: ["as {name} ({how})", "存储桶中为 {name}（{how}）"],
  models_by_base: ["same file name", "文件名相同"],
  models_by_hash: ["same content", "内容相同"],
  models_used: ["used {time}", "最近使用 {time}"],
  models_gone: ["no longer in the bucket", "存储桶中已没有"],
  models_waiting: ["Waiting…", "等待中…"],
  models_progress: ["{done} of {total}", "{done}，共 {total}"],
  models_running_one: ["1 model is being downloaded", "正在下载 1 个模型"],
  models_running: ["{count} models are being downloaded", "正在下载 {count} 个模型"],
  models_listed: ["Listed {time}", "列出时间：{time}"],
  models_room: ["Downloaded models: {used}. Free on the disk: {free}.", "已下载的模型：{used}。磁盘剩余：{free}。"],
  models_room_budget: [
    "Downloaded models: {used} of {budget}. Free on the disk: {free}.",
    "已下载的模型：{used} / {budget}。磁盘剩余：{free}。",
  ],
  models_loading: ["Loading…", "正在加载…"],
  models_loading_help: ["Asking ComfyUI which models there are.", "正在向 ComfyUI 查询有哪些模型。"],
  models_listing: ["Listing the bucket…", "正在列出存储桶…"],
  models_listing_help: ["The models appear as soon as the list is complete.", "列表完成后即显示模型。"],
  models_none: ["No models in the bucket", "存储桶中没有模型"],
  models_none_help: [
    "Upload Model to Cloud puts models there: below models/, or below the folder that COMFY_S3_MODELS_PREFIX names.",
    "“上传模型到云端”节点可上传模型：放在 models/ 下，或 COMFY_S3_MODELS_PREFIX 指定的文件夹下。",
  ],
  models_off: ["The library is off", "模型库未启用"],
  models_off_help: [
    "Set COMFY_S3_MODELS to offer, name a bucket with COMFY_S3_BUCKET, and restart ComfyUI. Or set models and bucket in profiles.json, and open this tab again.",
    "请将 COMFY_S3_MODELS 设为 offer，用 COMFY_S3_BUCKET 指定存储桶，并重启 ComfyUI；或在 profiles.json 中设置 models 和 bucket，然后重新打开此标签页。",
  ],
  unreachable: ["ComfyUI does not answer. Check that it is running.", "ComfyUI 没有响应，请检查它是否正在运行。"],
  outdated: [
    "ComfyUI is running an older version of this package, or could not load it. Restart ComfyUI.",
    "ComfyUI 正在运行此软件包的旧版本，或未能加载它。请重启 ComfyUI。",
  ],
}

/**
 * Return the function that gives texts in the language of `locale`, for example "zh" or "zh-TW"; English otherwise. Its
 * `message(text)` translates a message of the server, its `choice(value)` returns what a drop-down shows.
 */
export function texts(locale) {
  const isChinese = String(locale).toLowerCase().startsWith("zh")
  const column = isChinese ? 1 : 0
  const say = (key, values = {}) => TEXTS[key][column].replace(/\{(\w+)\}/g, (_, name) => String(values[name]))
  say.message = isChinese ? inChinese : String
  say.choice = isChinese ? (value) => CHOICES[value] ?? String(value ?? "") : (value) => String(value ?? "")
  return say
}
