/**
 * Every text that web/ shows, in English and Chinese. Names of nodes and inputs are in locales/ instead.
 *
 * A text may hold {name}, which `texts(locale)(key, {name: value})` fills in. tests/test_texts.py checks that each
 * key is there in both languages, with the same names in it.
 */

export const TEXTS = {
  en: {
    browse: "Browse the bucket",
    browse_for: "Browse for {name}",
    test: "Test connection",
    testing: "Testing…",
    test_looks_only: "Nothing was written. To try writing too, queue Test Cloud Connection.",
    pick_file: "Choose a file",
    pick_folder: "Choose a folder",
    choose: "Choose",
    choose_folder: "Use this folder",
    cancel: "Cancel",
    close: "Close",
    reload: "Reload",
    retry: "Try again",
    search: "Search below this folder",
    folders: "Where you are",
    top: "Top",
    entries: "Folders and files",
    empty: "Nothing here yet.",
    nothing_found: "Nothing found.",
    loading: "Loading…",
    more: "Load more",
    count: "{count} entries",
    count_more: "{count} entries, and there are more",
    sort: "Order",
    sort_name: "Name",
    sort_newest: "Newest first",
    sort_largest: "Largest first",
    folder: "folder",
    copy: "Copy",
    copy_all: "Copy all",
    copied: "Copied",
    result: "Result of {name}",
    unreadable_profile:
      "This profile is known only when the graph runs. Wire the node to a Cloud Storage Profile node " +
      "whose inputs are not wired, to browse its bucket here.",
    unreachable: "ComfyUI does not answer. Check that it is running.",
    outdated: "This ComfyUI does not know the request. Restart it: the package was updated or did not load.",
  },
  zh: {
    browse: "浏览存储桶",
    browse_for: "为 {name} 浏览",
    test: "测试连接",
    testing: "正在测试…",
    test_looks_only: "未写入任何内容。如需测试写入，请运行“测试云连接”节点。",
    pick_file: "选择文件",
    pick_folder: "选择文件夹",
    choose: "选择",
    choose_folder: "使用此文件夹",
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
    loading: "正在加载…",
    more: "加载更多",
    count: "{count} 项",
    count_more: "{count} 项，还有更多",
    sort: "排序",
    sort_name: "名称",
    sort_newest: "最新优先",
    sort_largest: "最大优先",
    folder: "文件夹",
    copy: "复制",
    copy_all: "全部复制",
    copied: "已复制",
    result: "{name} 的结果",
    unreadable_profile:
      "此配置要在运行时才能确定。请将节点连接到“云存储配置”节点，且该节点的输入不要再连线，即可在此浏览其存储桶。",
    unreachable: "ComfyUI 没有响应，请检查它是否正在运行。",
    outdated: "此 ComfyUI 不认识该请求。请重启：软件包已更新或未能加载。",
  },
}

/** The function that gives texts in the language of `locale`, for example "zh" or "zh-TW"; English otherwise. */
export function texts(locale) {
  const table = String(locale).toLowerCase().startsWith("zh") ? TEXTS.zh : TEXTS.en
  return (key, values = {}) => table[key].replace(/\{(\w+)\}/g, (_, name) => String(values[name]))
}
