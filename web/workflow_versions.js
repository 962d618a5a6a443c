/**
 * Which version of a workflow of the bucket each tab of ComfyUI's page shows: what was opened there, or saved last.
 *
 * The page's own object of a tab is what it is known by. After a reload it is another object; then the path of the tab
 * and the id of its graph have to be those from before. `storage` is the browser's sessionStorage.
 */

const KEPT = "comfyui-cloud-storage.workflows"
const MOST_KEPT = 100

export class WorkflowVersions {
  constructor(storage) {
    this.storage = storage
    this.byTab = new WeakMap()
  }

  /** Note `{profile, name, etag}` for a tab that shows the graph `id`. */
  set(tab, id, version) {
    if (!tab) return
    this.byTab.set(tab, version)
    const rows = this.kept().filter(([path]) => path !== tab.path)
    try {
      this.storage.setItem(KEPT, JSON.stringify([...rows, [tab.path, id, version]].slice(-MOST_KEPT)))
    } catch {
      // full, or forbidden by the user: then a reload asks once more
    }
  }

  /** The version of a tab that shows the graph `id`; undefined for none. */
  get(tab, id) {
    if (!tab) return undefined
    const isSame = ([path, graph]) => path === tab.path && id && graph === id
    return this.byTab.get(tab) ?? this.kept().find(isSame)?.[2]
  }

  kept() {
    try {
      const rows = JSON.parse(this.storage.getItem(KEPT) ?? "[]")
      return Array.isArray(rows) ? rows : []
    } catch {
      return []
    }
  }
}
