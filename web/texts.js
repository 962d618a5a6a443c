/**
 * Every text that web/ shows, in English and Chinese. Names of nodes and inputs are in locales/ instead.
 *
 * A text may hold {name}, which `texts(locale)(key, {name: value})` fills in. tests/package/test_texts.py checks that each
 * key is there in both languages, with the same names in it.
 */

import { CHOICES } from "./choices_zh.js"
import { inChinese } from "./messages.js"

export const TEXTS = {
  en: {
    browse: "Browse the bucket",
    browse_for: "Browse for {name}",
    browse_local: "From ComfyUI's folders",
    upload: "From this computer",
    uploading: "Uploading to ComfyUI…",
    this_comfyui: "ComfyUI's own folders",
    too_large:
      "The file is too large for ComfyUI. Start it with a larger --max-upload-size, or copy the file into its input folder.",
    not_uploaded: "ComfyUI did not accept the file (HTTP {status}). Copy it into ComfyUI's input folder and choose it there.",
    test: "Test connection",
    testing: "Testing…",
    test_looks_only: "Nothing was written. To test writing as well, run a Test Cloud Connection node.",
    pick_file: "Choose a file",
    pick_folder: "Choose a folder",
    choose: "Choose",
    choose_folder: "Use folder {name}",
    choose_top: "Use the top folder",
    cancel: "Cancel",
    close: "Close",
    reload: "Reload",
    retry: "Try again",
    search: "Search below this folder",
    folders: "Current folder",
    top: "Top",
    entries: "Folders and files",
    empty: "Nothing here yet.",
    nothing_found: "Nothing found.",
    nothing_of_kind: "This folder has only files of other kinds. Choose “All files” to see them.",
    loading: "Loading…",
    more: "Load more",
    count_one: "1 item",
    count: "{count} items",
    count_more: "{count} items, and there are more",
    count_first: "{order}: the first {count} of {total} files",
    hidden_one: "1 file of another kind hidden",
    hidden: "{hidden} files of other kinds hidden",
    incomplete:
      "This folder has too many files to sort them all. Only the first {total} by name were sorted. " +
      "Open a subfolder or search to narrow it down.",
    kind: "Kind of file",
    kind_image: "Images",
    kind_video: "Videos",
    kind_audio: "Audio and videos",
    kind_model: "Models",
    kind_all: "All files",
    sort: "Order",
    sort_name: "Name",
    sort_newest: "Newest first",
    sort_largest: "Largest first",
    folder: "folder",
    size: "{width} × {height} pixels",
    size_frames: "{width} × {height} pixels, {frames} frames",
    copy: "Copy",
    copy_all: "Copy all",
    copied: "Copied",
    result: "Result of {name}",
    running: "Running…",
    unfinished: "Not finished: the run was stopped.",
    unreadable_profile:
      "The bucket cannot be browsed, because inputs of the profile are connected. Type their values into the " +
      "Cloud Storage Profile node instead, or type the key here.",
    unreachable: "ComfyUI does not answer. Check that it is running.",
    outdated: "ComfyUI is running an older version of this package, or could not load it. Restart ComfyUI.",
  },
  zh: {
    browse: "浏览存储桶",
    browse_for: "为 {name} 浏览",
    browse_local: "从 ComfyUI 文件夹选择",
    upload: "从本机选择",
    uploading: "正在上传到 ComfyUI…",
    this_comfyui: "ComfyUI 自己的文件夹",
    too_large: "文件太大，ComfyUI 无法接受。请用更大的 --max-upload-size 启动它，或把文件放入其 input 文件夹。",
    not_uploaded: "ComfyUI 未接受该文件（HTTP {status}）。请把它放入 ComfyUI 的 input 文件夹，再在此选择。",
    test: "测试连接",
    testing: "正在测试…",
    test_looks_only: "未写入任何内容。如需测试写入，请运行“测试云连接”节点。",
    pick_file: "选择文件",
    pick_folder: "选择文件夹",
    choose: "选择",
    choose_folder: "使用文件夹 {name}",
    choose_top: "使用根目录",
    cancel: "取消",
    close: "关闭",
    reload: "刷新",
    retry: "重试",
    search: "在此文件夹下搜索",
    folders: "当前位置",
    top: "根目录",
    entries: "文件夹和文件",
    empty: "这里还没有内容。",
    nothing_found: "没有找到。",
    nothing_of_kind: "这里只有其他类型的文件。选择“所有文件”即可查看。",
    loading: "正在加载…",
    more: "加载更多",
    count_one: "1 项",
    count: "{count} 项",
    count_more: "{count} 项，还有更多",
    count_first: "{order}：前 {count} 个，共 {total} 个文件",
    hidden_one: "另有 1 个其他类型的文件未显示",
    hidden: "另有 {hidden} 个其他类型的文件未显示",
    incomplete: "此文件夹中的文件太多，无法全部排序：只对按名称排在最前的 {total} 个进行了排序。请打开子文件夹或搜索以缩小范围。",
    kind: "文件类型",
    kind_image: "图像",
    kind_video: "视频",
    kind_audio: "音频和视频",
    kind_model: "模型",
    kind_all: "所有文件",
    sort: "排序",
    sort_name: "名称",
    sort_newest: "最新优先",
    sort_largest: "最大优先",
    folder: "文件夹",
    size: "{width} × {height} 像素",
    size_frames: "{width} × {height} 像素，{frames} 帧",
    copy: "复制",
    copy_all: "全部复制",
    copied: "已复制",
    result: "{name} 的结果",
    running: "正在运行…",
    unfinished: "未完成：运行已停止。",
    unreadable_profile:
      "配置的输入已连线，因此无法浏览存储桶。请在“云存储配置”节点中直接填写这些值，或在此填写对象名称。",
    unreachable: "ComfyUI 没有响应，请检查它是否正在运行。",
    outdated: "ComfyUI 正在运行此软件包的旧版本，或未能加载它。请重启 ComfyUI。",
  },
}

/**
 * The function that gives texts in the language of `locale`, for example "zh" or "zh-TW"; English otherwise. Its
 * `message(text)` is a message of the server's part in that language, its `choice(value)` what a drop-down shows.
 */
export function texts(locale) {
  const isChinese = String(locale).toLowerCase().startsWith("zh")
  const table = isChinese ? TEXTS.zh : TEXTS.en
  const say = (key, values = {}) => table[key].replace(/\{(\w+)\}/g, (_, name) => String(values[name]))
  say.message = isChinese ? inChinese : String
  say.choice = isChinese ? (value) => CHOICES[value] ?? String(value ?? "") : (value) => String(value ?? "")
  return say
}
