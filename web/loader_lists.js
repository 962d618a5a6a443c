/**
 * Adds the bucket's names to the lists of loaders, after the names of local files. The value of such an entry is the
 * plain name, as a loader lists the file once it is here. Does not use ComfyUI.
 */

export const CLOUD = "\u2601\uFE0E" // a cloud, as a letter and not as a coloured image

const GROUPS = ["required", "optional"]

export class LoaderLists {
  constructor() {
    this.inputs = {} // folder types by class and input
    this.names = {} // the bucket's names by folder type
    this.added = new WeakMap() // names that were added, as a Set, by the list
    this.lists = new Map() // the latest list by class and input
  }

  /** Take what `models.names()` of api.js gives. */
  take({ inputs = {}, names = {} }) {
    this.inputs = inputs
    this.names = names
  }

  /** Whether what `names()` gives differs from what was taken. */
  differs({ inputs = {}, names = {} }) {
    return JSON.stringify([inputs, names]) !== JSON.stringify([this.inputs, this.names])
  }

  /**
   * Add names to the lists of one node's definition, as /object_info has it, in place: the page's nodes use the same
   * lists. What was added before and is no longer in the bucket is removed.
   */
  extend(nodeClass, definition) {
    for (const [input, types] of Object.entries(this.inputs[nodeClass] ?? {})) {
      const list = listOf(definition, input)
      if (!list) continue
      const before = this.added.get(list)
      const local = before ? list.filter((name) => !before.has(name)) : [...list]
      const known = new Set(local)
      const added = new Set(types.flatMap((type) => this.names[type] ?? []).filter((name) => !known.has(name)))
      list.splice(0, list.length, ...local, ...added)
      this.added.set(list, added)
      this.lists.set(`${nodeClass}\0${input}`, added)
    }
  }

  /** Whether a name of an input's list stands for a model that is only in the bucket. */
  isInBucket(nodeClass, input, name) {
    return this.lists.get(`${nodeClass}\0${input}`)?.has(name) ?? false
  }

  /**
   * Mark the bucket's names in the drop-downs of a node with a cloud. `isAllowed()` tells whether the frontend draws
   * labels now: on the canvas it draws them in a menu without a filter, which is worse than no cloud.
   */
  label(nodeClass, widgets, isAllowed) {
    const inputs = this.inputs[nodeClass]
    for (const widget of (inputs && widgets) || []) {
      if (!(widget.name in inputs) || !widget.options || widget.options.getOptionLabel) continue
      const labelOf = (value) =>
        this.isInBucket(nodeClass, widget.name, value) ? `${CLOUD} ${value}` : String(value ?? "")
      Object.defineProperty(widget.options, "getOptionLabel", {
        configurable: true,
        enumerable: true,
        get: () => (isAllowed() ? labelOf : undefined),
      })
    }
  }
}

/** The array of an input's choices, in either form of /object_info; undefined if it has none. */
function listOf(definition, input) {
  for (const group of GROUPS) {
    const declared = definition?.input?.[group]?.[input]
    const list = declared?.[0] === "COMBO" ? declared[1]?.options : declared?.[0]
    if (Array.isArray(list)) return list
  }
  return undefined
}
