/**
 * The panel Files of the tab Cloud: folders and files of a bucket as thumbnails, newest first, with what can be done
 * with them. Reaches the server only through the object of api.js, and does not use ComfyUI: `on` does what its page
 * does.
 */

import { addStyles, button, copy, dateOf, element, icon, showPath, sizeOf } from "./dom.js"
import { CellGrid } from "./cell_grid.js"
import { FileList } from "./file_list.js"
import { FILE_KINDS } from "./kinds.js"
import { Thumbnails, mayHaveOne } from "./thumbnails.js"

const CELL_PIXELS = [96, 118]
const TYPING_MILLISECONDS = 250 // between the last letter and the search
const MOST_SELECTED = 1000
const MOST_INSERTED = 20 // nodes at once
const ORDERS = { newest: "sort_newest", oldest: "files_oldest", name: "sort_name", largest: "sort_largest" }
const HOURS = { 1: "files_hour", 24: "files_day", 168: "files_week" } // for which a shared link works
const DRAGGED = "application/x-comfyui-cloud-storage"

export class FilesTab {
  /**
   * `on` has `insert(profile, files)`, and, where the page can do it, `openWorkflow(profile, file)`,
   * `mayHaveWorkflow(key)` and `setUp()`, which resolves with the name of a new profile or null.
   */
  constructor({ server, say, locale, on }) {
    Object.assign(this, { server, say, locale, on })
    this.list = new FileList({ files: server.files, changed: () => this.draw() })
    this.selected = new Map() // entries by key, in the order in which they were selected
    this.profiles = []
    this.build()
  }

  open(place) {
    addStyles()
    this.place = place
    place.replaceChildren(this.element)
    this.thumbnails ??= new Thumbnails((file, signal) => this.thumbnailOf(file, signal))
    this.grid.watch()
    this.list.watch()
    if (!this.profiles.length) this.start()
    else this.list.look()
  }

  close() {
    if (!this.place) return
    this.place = undefined
    this.element.remove()
    this.grid.rest()
    this.list.rest()
    clearTimeout(this.typing)
  }

  /** Ask which profiles there are, and show the one that is used by default; else `wanted`. */
  async start(wanted) {
    this.failure = ""
    try {
      const { profiles, chosen, error } = await this.server.files.profiles()
      this.profiles = profiles
      this.unset = profiles.length ? "" : error
      const options = profiles.map(({ name, bucket }) =>
        element("option", { value: name }, bucket ? `${name} · ${bucket}` : name),
      )
      this.profile.replaceChildren(...options)
      this.profile.hidden = profiles.length < 2
      if (profiles.length) {
        this.profile.value = wanted ?? chosen
        await this.show({ profile: this.profile.value, folder: "" })
      }
    } catch (error) {
      this.failure = error.message
    }
    this.draw()
  }

  // ---------------------------------------------------------------- the elements

  build() {
    const { say } = this
    this.profile = this.choice("files_profile", {}, () => this.show({ profile: this.profile.value, folder: "" }))
    this.profile.hidden = true
    this.search = element("input", {
      type: "search",
      placeholder: say("files_search"),
      "aria-label": say("files_search"),
      spellcheck: "false",
      input: () => {
        clearTimeout(this.typing)
        this.typing = setTimeout(() => this.show({}), TYPING_MILLISECONDS)
      },
      keydown: (event) => {
        if (event.isComposing) return
        if (event.key === "ArrowDown" || event.key === "Enter") this.grid.focus(this.grid.focused, "only")
        else if (event.key === "Escape" && this.search.value) {
          this.search.value = ""
          this.show({})
        } else return
        event.preventDefault()
      },
    })
    this.reload = this.tool("files_refresh", "reload", () => this.run(() => this.list.refresh()))
    const kinds = Object.fromEntries(Object.entries(FILE_KINDS).map(([id, { text }]) => [id, say(text)]))
    this.kind = this.choice("kind", { "": say("kind_all"), ...kinds }, () => this.show(askedKind(this.kind.value)))
    const orders = Object.fromEntries(Object.entries(ORDERS).map(([order, text]) => [order, say(text)]))
    this.order = this.choice("sort", orders, () => this.show({ order: this.order.value }))
    this.flat = this.tool("files_flat", "folder", () => {
      const isFlat = this.flat.getAttribute("aria-pressed") !== "true"
      this.flat.setAttribute("aria-pressed", String(isFlat))
      this.show({ flat: isFlat ? "1" : "" })
    })
    this.flat.setAttribute("aria-pressed", "false")
    this.path = element("nav", { class: "cs-path", "aria-label": say("folders") })
    this.notice = element("div", { class: "cs-models-notice", role: "alert" })
    this.empty = element("div", { class: "cs-models-empty" })
    this.scroller = element("div", { class: "cs-files-scroller" })
    this.grid = new CellGrid({
      scroller: this.scroller,
      width: CELL_PIXELS[0],
      height: CELL_PIXELS[1],
      label: say("entries"),
      entryAt: (place) => this.list.at(place),
      draw: (entry) => this.cell(entry),
      isSelected: ({ key }) => this.selected.has(key),
      on: {
        open: (place) => this.use(this.list.peek(place)),
        select: (place, how) => this.select(place, how),
        all: () => this.selectRange(this.list.folders, this.list.total - 1),
        clear: () => this.clear(),
        up: () => this.list.asked.folder && this.enter(this.list.asked.folder.replace(/[^/]*\/$/, "")),
        typed: () => this.search.focus(), // the letter is typed there
        drag: (event, place) => this.drag(event, this.list.peek(place)),
        menu: (event, place) => {
          event.preventDefault()
          const entry = this.list.peek(place)
          if (entry && !this.selected.has(entry.key)) this.grid.focus(place, "only")
        },
      },
    })
    this.scroller.append(this.grid.element)
    this.status = element("output", { class: "cs-files-status" })
    this.about = element("div", { class: "cs-files-about" })
    this.actions = element("div", { class: "cs-files-actions", role: "toolbar", "aria-label": say("files_actions") })
    this.footer = element("footer", { class: "cs-files-footer" }, this.about, this.actions, this.status)
    this.element = element(
      "section",
      { class: "cs-files", "aria-label": say("cloud_files") },
      this.profile,
      element(
        "div",
        { class: "cs-search-row" },
        element("label", { class: "cs-models-search" }, icon("search"), this.search),
        this.reload,
      ),
      element("div", { class: "cs-files-tools" }, this.kind, this.order, this.flat),
      this.path,
      this.notice,
      this.empty,
      this.scroller,
      this.footer,
    )
  }

  choice(text, values, change) {
    const options = Object.entries(values).map(([value, name]) => element("option", { value }, name))
    return element("select", { class: "cs-field", "aria-label": this.say(text), change }, ...options)
  }

  tool(text, shape, click) {
    const label = this.say(text)
    return button(icon(shape), click, "cs-bare", { "aria-label": label, title: label })
  }

  // ---------------------------------------------------------------- drawing

  show(asked) {
    clearTimeout(this.typing)
    this.selected.clear()
    this.anchor = undefined
    this.failure = ""
    this.grid.focused = 0
    this.scroller.scrollTop = 0
    this.thumbnails?.forget()
    this.told = ""
    if ("profile" in asked) this.search.value = ""
    return this.list.show({ ...asked, search: this.search.value.trim() })
  }

  draw() {
    const { list, say } = this
    if (list.isStale) return this.keepPlace()
    const { state, total } = list
    this.reload.disabled = Boolean(state?.is_listing)
    this.reload.classList.toggle("cs-turning", Boolean(state?.is_listing))
    const messages = [this.failure, list.error, state?.error].filter(Boolean).map((text) => say.message(text))
    const shown = [...new Set(messages)].join("\n")
    if (this.notice.textContent !== shown) this.notice.textContent = shown
    this.drawPath()
    this.drawEmpty()
    const awaited = this.awaited === undefined ? undefined : list.peek(this.awaited)
    if (awaited) {
      this.selected.set(awaited.key, awaited)
      this.awaited = undefined
    }
    this.grid.show(total ?? 0)
    this.drawFooter()
  }

  /** The bucket has been listed again: the entries in sight stay where they are. */
  async keepPlace() {
    const { list, grid } = this
    const first = grid.first
    const key = first ? list.peek(first)?.key : undefined
    const offset = this.scroller.scrollTop - Math.floor(first / grid.columns) * CELL_PIXELS[1]
    await list.again(first)
    const place = key === undefined ? null : await list.placeOf(key).catch(() => null)
    if (place !== null) this.scroller.scrollTop = Math.floor(place / grid.columns) * CELL_PIXELS[1] + offset
  }

  drawPath() {
    const { folder } = this.list.asked
    if (this.path.csFolder === folder) return
    this.path.csFolder = folder
    showPath(this.path, folder, this.say("top"), (above) => this.enter(above))
  }

  drawEmpty() {
    const { list, say } = this
    const isNothing = list.total === 0 && !list.error && !list.state?.is_listing && !list.state?.error
    const what = this.unset
      ? "unset"
      : list.total === undefined && !this.failure
        ? "loading"
        : list.total === 0 && list.state?.is_listing
          ? "listing"
          : isNothing
            ? list.asked.search || list.asked.endings
              ? "nothing"
              : "none"
            : ""
    this.scroller.hidden = Boolean(what)
    if (this.empty.dataset.what === what) return
    this.empty.dataset.what = what
    const rows = {
      unset: ["cloud", say("files_unset"), say.message(this.unset ?? "")],
      loading: ["reload", say("loading"), ""],
      listing: ["reload", say("models_listing"), ""],
      nothing: ["search", say("nothing_found"), ""],
      none: ["cloud", say("empty"), say("files_none_help")],
    }
    if (!what) return this.empty.replaceChildren()
    const [shape, title, text] = rows[what]
    const isSetUp = what === "unset" && this.on.setUp
    const further = isSetUp ? [button(say("setup_title"), () => this.setUp(), "cs-primary")] : []
    this.empty.replaceChildren(icon(shape), element("h3", {}, title), element("p", {}, text), ...further)
  }

  cell(entry) {
    const { say, locale } = this
    const { folder } = this.list.asked
    const isFolder = entry.key.endsWith("/")
    const name = entry.key.slice(folder.length).replace(/\/$/, "") || "/"
    const small = element("span", { class: "cs-thumb" }, icon(isFolder ? "folder" : "file"))
    const detail = isFolder
      ? say(entry.count === 1 ? "files_one" : "files_count", { count: this.number(entry.count) })
      : sizeOf(entry.size, locale)
    const pictured = entry.preview ?? entry
    if (!isFolder && mayHaveOne(pictured)) this.thumbnails?.offer(small, pictured)
    else if (!isFolder) small.append(element("span", { class: "cs-ending" }, endingOf(name)))
    const title = [entry.key, detail, dateOf(entry.modified, locale)].filter(Boolean).join("\n")
    const shown = element("span", { class: "cs-cell-name" }, name.split("/").at(-1))
    const kind = isFolder ? [element("span", { class: "cs-unseen" }, say("folder"))] : []
    return [[small, shown, ...kind, element("span", { class: "cs-cell-detail" }, detail)], { title }]
  }

  thumbnailOf(file, signal) {
    return this.server.thumbnail({ profile: this.list.asked.profile }, file, signal)
  }

  drawFooter() {
    const { list, say, locale } = this
    const chosen = [...this.selected.values()]
    const files = chosen.filter(({ key }) => !key.endsWith("/"))
    const bytes = files.reduce((sum, { size }) => sum + size, 0)
    const about =
      chosen.length === 1
        ? [element("strong", {}, chosen[0].key), detailOf(chosen[0], locale)]
        : chosen.length
          ? [element("strong", {}, say("files_selected", { count: chosen.length })), sizeOf(bytes, locale)]
          : []
    this.about.replaceChildren(...about.flatMap((part) => [part, " "]))
    this.about.hidden = !about.length
    this.drawActions(files)
    const { state, total } = list
    const count = Math.max(0, (total ?? 0) - list.folders)
    const text = !state
      ? ""
      : state.is_listing && !state.complete
        ? say("files_listing", { count: this.number(state.count) })
        : say(count === 1 ? "files_one" : "files_count", { count: this.number(count) })
    if (this.status.textContent !== (this.told || text)) this.status.textContent = this.told || text
  }

  drawActions(files) {
    const { say, on } = this
    const known = `${files.map(({ key }) => key).join("\n")}${this.isSharing}`
    if (this.actions.csKnown === known) return
    this.actions.csKnown = known
    const act = (text, click, look = "") => button(say(text), click, look)
    const made = []
    if (files.length && this.isSharing) {
      for (const [hours, text] of Object.entries(HOURS)) made.push(act(text, () => this.share(files, hours)))
      made.push(act("cancel", () => this.setSharing(false), "cs-bare"))
    } else if (files.length) {
      if (files.length <= MOST_INSERTED) made.push(act("files_insert", () => this.insert(files), "cs-primary"))
      if (files.length === 1) made.push(act("files_open", () => this.openFile(files[0])))
      if (files.length === 1 && on.openWorkflow && on.mayHaveWorkflow(files[0].key))
        made.push(act("files_workflow", () => on.openWorkflow(this.list.asked.profile, files[0])))
      made.push(act(files.length === 1 ? "files_link" : "files_links", () => this.link(files)))
      if (files.length === 1) made.push(act("files_share", () => this.setSharing(true)))
    }
    this.actions.replaceChildren(...made)
  }

  number(count) {
    return new Intl.NumberFormat(this.locale).format(count)
  }

  // ---------------------------------------------------------------- what the user does

  use(entry) {
    if (entry?.key.endsWith("/")) this.enter(entry.key)
    else if (entry) this.openFile(entry)
  }

  enter(folder) {
    this.search.value = ""
    this.show({ folder }).then(() => this.grid.focus(0, "focus"))
  }

  select(place, how) {
    const entry = this.list.peek(place)
    this.isSharing = false
    this.told = ""
    this.awaited = how === "only" && !entry ? place : undefined // selected as soon as it is here
    if (how === "range") return this.selectRange(this.anchor ?? 0, place)
    if (how !== "focus") this.anchor = place
    if (how === "only") this.selected.clear()
    if (how === "toggle" && this.selected.delete(entry?.key)) return this.draw()
    if (how !== "focus" && entry) this.selected.set(entry.key, entry)
    this.draw()
  }

  async selectRange(one, other) {
    const [first, last] = [Math.min(one, other), Math.max(one, other)]
    await this.run(async () => {
      const entries = await this.list.range(first, last, MOST_SELECTED)
      this.selected = new Map(entries.map((entry) => [entry.key, entry]))
    })
    if (last - first >= MOST_SELECTED) this.tell("files_most", { count: this.number(MOST_SELECTED) })
  }

  clear() {
    this.told = ""
    this.selected.clear()
    this.isSharing = false
    this.draw()
  }

  setSharing(isSharing) {
    this.isSharing = isSharing
    this.drawFooter()
    this.actions.querySelector("button")?.focus()
  }

  /** Open a tab at once, while the browser knows that a click asked for it. */
  openFile(file) {
    const tab = window.open("", "_blank")
    if (tab) tab.opener = null
    return this.run(async () => {
      try {
        const address = await this.server.open({ profile: this.list.asked.profile, key: file.key })
        if (tab) tab.location.replace(address)
        else window.open(address, "_blank", "noopener,noreferrer")
      } catch (error) {
        tab?.close()
        throw error
      }
    })
  }

  insert(files) {
    this.on.insert(this.list.asked.profile, files)
  }

  link(files) {
    return this.run(async () => {
      const found = []
      for (const { key } of files) found.push(await this.server.files.link({ profile: this.list.asked.profile, key }))
      await copy(found.map(({ address }) => address).join("\n"))
      this.tell(found.every((one) => one.public) ? "copied" : "files_copied_private")
    })
  }

  share([file], hours) {
    return this.run(async () => {
      const asked = { profile: this.list.asked.profile, key: file.key, hours }
      await copy((await this.server.files.share(asked)).address)
      this.isSharing = false
      this.tell("files_shared", { time: this.say(HOURS[hours]) })
    })
  }

  drag(event, entry) {
    const chosen = entry && this.selected.has(entry.key) ? [...this.selected.values()] : [entry]
    const files = chosen.filter((one) => one && !one.key.endsWith("/")).slice(0, MOST_INSERTED)
    if (!files.length) return event.preventDefault()
    const dragged = { profile: this.list.asked.profile, files: files.map(({ key }) => ({ key })) }
    event.dataTransfer.setData(DRAGGED, JSON.stringify(dragged))
    event.dataTransfer.effectAllowed = "copy"
  }

  async setUp() {
    const name = await this.on.setUp()
    if (name) await this.start(name)
  }

  tell(text, values) {
    this.told = this.say(text, values)
    this.drawFooter()
  }

  /** Do something; if it fails, say so at the top. */
  async run(work) {
    this.failure = ""
    try {
      await work()
      this.draw()
    } catch (error) {
      this.failure = error.message
      this.draw()
    }
  }
}

export { DRAGGED }

function detailOf(entry, locale) {
  const size = entry.size === undefined ? "" : sizeOf(entry.size, locale)
  return [size, dateOf(entry.modified, locale)].filter(Boolean).join(" · ")
}

function endingOf(name) {
  const ending = /\.([^./]{1,12})$/.exec(name)?.[1] ?? ""
  return ending.toUpperCase()
}

function askedKind(id) {
  const kind = FILE_KINDS[id]
  return { endings: kind?.endings.join() ?? "", without: kind?.without ? "1" : "" }
}
