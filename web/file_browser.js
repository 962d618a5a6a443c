/**
 * The files of a bucket, or of ComfyUI's own folders: folders, search, kinds, orders, as a grid or as rows. It is the
 * panel Files, and what the picker shows. Reaches the server only through `files`, and does not use ComfyUI.
 *
 * An entry is identified by its key, never by its place: whatever arrives meanwhile, a click or a key press means the
 * entry that was seen. Nothing is selected at first.
 */

import { addStyles, button, element, icon, showPath } from "./dom.js"
import { CellGrid } from "./cell_grid.js"
import { LAYOUTS, cellOf, filesText, isFolder } from "./file_cells.js"
import { FileList } from "./file_list.js"
import { FileTools } from "./file_tools.js"
import { Thumbnails } from "./thumbnails.js"

const MOST_SELECTED = 1000

export class FileBrowser {
  /**
   * `files` is `files` or `local` of api.js. `kinds` are like FILE_KINDS, the first one is shown first;
   * `asked` is what FileList is asked first, and `looks` whether each folder is listed when it is entered. Unless it
   * `isMultiple`, a click enters a folder. `on` has `open(file)`, `changed()` after each change, if files can be
   * dragged, `drag(event, files)`, and, to be offered where there is no file, `openExample()`. `canTake(entry)` is
   * whether an entry can be chosen at all.
   */
  constructor({ files, say, locale, kinds, asked, layout, isMultiple, looks, canTake = () => true, on }) {
    Object.assign(this, { files, say, locale, kinds, looks, canTake, on })
    this.list = new FileList({ files, asked, changed: () => this.draw() })
    this.selected = new Map() // entries by key, in the order in which they were selected
    this.message = "" // in place of the number of files
    this.build(isMultiple)
    this.layOut(layout)
  }

  open() {
    addStyles()
    this.pictures ??= new Thumbnails((file, signal) => this.files.thumbnail(this.list.place, file, signal))
    this.grid.watch()
    this.list.watch()
  }

  close() {
    this.grid.rest()
    this.list.rest()
  }

  // ---------------------------------------------------------------- the elements

  build(isMultiple) {
    const { say } = this
    this.tools = new FileTools({
      say,
      kinds: this.kinds,
      asked: this.list.asked,
      on: {
        searched: () => this.show({}),
        changed: (asked) => this.showAgain(asked),
        refresh: () => this.run(() => this.refresh()),
        layOut: () => this.layOut(this.layout === "rows" ? "grid" : "rows"),
        left: (isDown) => (isDown ? this.grid.focus(this.grid.focused, "only") : this.grid.element.focus()),
      },
    })
    this.path = element("nav", { class: "cs-path", "aria-label": say("folders") })
    this.notice = element("div", { class: "cs-models-notice", role: "alert" })
    this.empty = element("div", { class: "cs-models-empty" })
    this.scroller = element("div", { class: "cs-files-scroller" })
    this.grid = new CellGrid({
      scroller: this.scroller,
      label: say("entries"),
      isMultiple,
      entryAt: (place) => this.list.at(place),
      draw: (entry) => this.cell(entry),
      isSelected: ({ key }) => this.selected.has(key),
      on: {
        open: (place) => this.use(this.list.peek(place)),
        select: (place, how) => this.select(place, how),
        all: () => this.selectRange(this.list.folders, this.list.total - 1),
        clear: () => this.clear(),
        up: () => this.list.asked.folder && this.enter(this.list.asked.folder.replace(/[^/]*\/$/, "")),
        typed: () => this.tools.search.focus(), // the letter is typed there
        enter: (place) => this.enterOne(this.list.peek(place)),
        click: isMultiple ? undefined : (place) => this.enterOne(this.list.peek(place)),
        drag: this.on.drag && ((event, place) => this.drag(event, this.list.peek(place))),
      },
    })
    this.scroller.append(this.grid.element)
    this.status = element("output", { class: "cs-files-status" })
    this.element = element(
      "div",
      { class: "cs-browser" },
      this.tools.element,
      this.path,
      this.notice,
      this.empty,
      this.scroller,
    )
  }

  layOut(layout) {
    this.layout = layout
    this.drawTools()
    this.grid.layOut(LAYOUTS[layout])
  }

  // ---------------------------------------------------------------- drawing

  /** Show other entries, and select that with the key `at` if it is among them. */
  async show(asked, { at, place } = {}) {
    const { list, grid } = this
    this.message = this.failure = ""
    this.awaited = this.anchor = this.range = undefined
    this.selected.clear()
    grid.focused = -1
    this.scroller.scrollTop = 0
    this.pictures?.forget()
    const once = { ...(at && { at }), ...(this.looks && { look: "1" }) }
    await list.show({ ...asked, search: this.tools.text }, { place, once })
    const isFound = at && list.found !== null && list.found !== undefined
    if (isFound && !this.selected.size) grid.mark(list.found, "only")
    this.draw()
  }

  /** Show the same entries in another way; what is selected stays so. */
  showAgain(asked) {
    return this.show(asked, { at: [...this.selected.keys()].at(-1) })
  }

  async refresh() {
    await this.list.refresh()
    if (this.looks) await this.showAgain({})
  }

  draw() {
    const { list, say } = this
    if (list.isStale) return this.keepPlace()
    const { state, total } = list
    this.drawTools()
    const messages = [this.failure, list.error, state?.error].filter(Boolean).map((text) => say.message(text))
    const shown = [...new Set(messages)].join("\n")
    if (this.notice.csShown !== shown) {
      const again = list.error ? [button(say("retry"), () => this.showAgain({}))] : []
      this.notice.replaceChildren(...(shown ? [element("span", {}, shown), ...again] : []))
      this.notice.csShown = shown
    }
    if (this.path.csFolder !== list.asked.folder) {
      this.path.csFolder = list.asked.folder
      showPath(this.path, list.asked.folder, say("top"), (above) => this.enter(above))
    }
    this.drawEmpty()
    const awaited = this.awaited === undefined ? undefined : list.peek(this.awaited)
    if (awaited) {
      this.selected.set(awaited.key, awaited)
      this.awaited = undefined
    }
    this.grid.show(total ?? 0)
    const counted = this.message || this.counted()
    if (this.status.textContent !== counted) this.status.textContent = counted
    this.on.changed()
  }

  drawTools() {
    this.tools.draw(Boolean(this.list.state?.is_listing), this.layout === "rows")
  }

  counted() {
    const { say, locale, list } = this
    const { state, total, hidden } = list
    if (!state) return ""
    if (state.is_listing && !state.complete)
      return say("files_listing", { count: new Intl.NumberFormat(locale).format(state.count) })
    const count = filesText(say, locale, Math.max(0, (total ?? 0) - list.folders))
    const others = this.looks && hidden ? [say(hidden === 1 ? "hidden_one" : "hidden", { hidden })] : []
    const cut = state.is_cut ? [say("files_cut")] : []
    return [count, ...cut, ...others].join(" · ")
  }

  /** The bucket has been listed again: the entries in sight stay where they are, also after keys pressed meanwhile. */
  async keepPlace() {
    const { list, grid } = this
    let seen
    await list.again(grid.first, () => (seen = this.seen())) // not before: keys are pressed while it is fetched
    if (!seen) return
    const { focused, top } = grid
    const placeOf = (key) => (key === undefined ? null : list.placeOf(key).catch(() => null))
    const [place, next] = [await placeOf(seen.key), await placeOf(seen.focused)]
    if (seen.focused !== undefined && grid.focused === focused) grid.follow(next)
    this.anchor = undefined
    if (place !== null && grid.top === top) grid.top = Math.floor(place / grid.columns) * grid.height + seen.offset
  }

  /** The keys of the first entry in sight and of that with the focus; `offset` is how far the first is scrolled out. */
  seen() {
    const { list, grid } = this
    const { first } = grid
    return {
      key: first ? list.peek(first)?.key : undefined,
      offset: grid.top - Math.floor(first / grid.columns) * grid.height,
      focused: list.peek(grid.focused)?.key,
    }
  }

  drawEmpty() {
    const { list, say } = this
    const { total, state, error, asked, hidden } = list
    const isListing = Boolean(state?.is_listing)
    const isNothing = total === 0 && !error && !state?.error
    const nothing = hidden ? "hidden" : asked.search || asked.endings ? "nothing" : "none"
    const what = total === undefined && !this.failure ? "loading" : !isNothing ? "" : isListing ? "listing" : nothing
    this.scroller.classList.toggle("cs-none", Boolean(what)) // not hidden: it keeps the keyboard
    if (this.empty.dataset.what === what) return
    this.empty.dataset.what = what
    const rows = {
      loading: ["reload", say("loading"), ""],
      listing: ["reload", say("models_listing"), ""],
      hidden: ["search", say("nothing_of_kind"), ""],
      nothing: ["search", say("nothing_found"), ""],
      none: ["cloud", say("empty"), this.looks ? "" : say("files_none_help")],
    }
    if (!what) return this.empty.replaceChildren()
    const [shape, title, text] = rows[what]
    const { openExample } = this.on
    const click = () => this.run(openExample)
    const further = what === "none" && openExample ? [button(say("files_example"), click, "cs-primary")] : []
    this.empty.replaceChildren(icon(shape), element("h3", {}, title), element("p", {}, text), ...further)
  }

  cell(entry) {
    const { say, locale, layout, pictures, list } = this
    const [children, attributes] = cellOf(entry, { layout, folder: list.asked.folder, say, locale, pictures })
    return [children, this.canTake(entry) ? attributes : { ...attributes, "aria-disabled": "true" }]
  }

  // ---------------------------------------------------------------- what the user does

  use(entry) {
    if (entry && isFolder(entry)) this.enter(entry.key)
    else if (entry) this.on.open(entry)
  }

  enterOne(entry) {
    if (entry && isFolder(entry)) this.enter(entry.key)
  }

  /** Enter a folder; coming back from one below it, that is selected. */
  enter(folder) {
    const from = this.list.asked.folder
    const left = from.startsWith(folder) ? from.slice(0, from.indexOf("/", folder.length) + 1) : ""
    this.tools.search.value = ""
    this.grid.element.focus()
    return this.show({ folder }, { at: left })
  }

  select(place, how) {
    const entry = this.list.peek(place)
    this.message = ""
    this.awaited = how === "only" && !entry ? place : undefined // selected as soon as it is here
    if (how === "range") return this.selectRange(this.anchor ?? 0, place)
    if (how !== "focus") Object.assign(this, { anchor: place, range: undefined })
    if (how === "only") this.selected.clear()
    if (how === "toggle" && this.selected.delete(entry?.key)) return this.draw()
    if (how !== "focus" && entry) this.selected.set(entry.key, entry)
    this.draw()
  }

  /** Select what lies between two numbers; what is selected while that is fetched counts instead. */
  async selectRange(one, other) {
    const [first, last] = [Math.min(one, other), Math.max(one, other)]
    const range = (this.range = {}) // another one, or none, as soon as something else is selected
    await this.run(async () => {
      const entries = await this.list.range(first, last, MOST_SELECTED)
      if (this.range === range) this.selected = new Map(entries.map((entry) => [entry.key, entry]))
    })
    if (this.range !== range) return
    const count = new Intl.NumberFormat(this.locale).format(MOST_SELECTED)
    if (last - first >= MOST_SELECTED) this.tell(this.say("files_most", { count }))
  }

  clear() {
    this.message = ""
    this.awaited = this.anchor = this.range = undefined
    this.selected.clear()
    this.draw()
  }

  drag(event, entry) {
    const chosen = entry && this.selected.has(entry.key) ? [...this.selected.values()] : [entry]
    this.on.drag(event, chosen.filter((one) => one && !isFolder(one)))
  }

  tell(text) {
    this.message = text
    this.draw()
  }

  /** Do something; if it fails, say so at the top. */
  async run(work) {
    this.failure = ""
    try {
      await work()
    } catch (error) {
      this.failure = error.message
    }
    this.draw()
  }
}
