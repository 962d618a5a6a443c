/**
 * A dialog to choose a file or a folder of a bucket, by pointer or by keyboard.
 *
 * It reaches the server only through the object of api.js, and does not use ComfyUI. An entry is identified by its key,
 * never by its place in the list, and new rows are only added below the others: so a page that arrives meanwhile does
 * not change what a click or a key press means. Nothing is marked at first, unless the node's own value is in the list.
 */

import { keepEvents } from "./dialog.js"
import { addStyles, button, dateOf, element, icon, showPath, sizeOf } from "./dom.js"
import { isOfKind } from "./kinds.js"
import { Thumbnails } from "./thumbnails.js"

const TYPING_MILLISECONDS = 300 // between the last letter and the search
const PAGES_AT_ONCE = 5 // loaded one after another without scrolling, while the list does not fill the dialog
const ROWS_AT_ONCE = 500 // of one answer; the others are added when the list is scrolled
const NAME_END = 22 // last characters of a long name that stay visible: a number and the extension

let numbered = 0 // makes the ids of elements unique

/**
 * Resolves with the chosen entry: `{key}` of a folder, which ends in "/" or is "" for the top, or a file as the server
 * lists it. Resolves with null if none was chosen.
 *
 * `profile` is what api.js takes. `where(used)` returns its name for the title; `used` is the name of the profile that
 * the server used, undefined before it has answered. `start` is a key or folder to begin at, `wants` is "file" or
 * "folder", and `kind` is one of KINDS of kinds.js if only such files can be used.
 */
export function pick({ server, say, locale, profile, where, start = "", wants = "file", kind = null }) {
  return new Promise((resolve) => new Picker({ server, say, locale, profile, where, wants, kind }, resolve).open(start))
}

class Picker {
  constructor({ server, say, locale, profile, where, wants, kind }, resolve) {
    Object.assign(this, { server, say, locale, profile, wants, kind, where })
    this.thumbnails = new Thumbnails((file, signal) => server.thumbnail(profile, file, signal))
    this.entries = []
    this.rows = new Map() // by key
    this.build()
    this.dialog.addEventListener("close", () => {
      this.request?.abort()
      this.thumbnails.close()
      this.observer.disconnect()
      clearTimeout(this.typing)
      this.dialog.remove()
      resolve(this.chosen ?? null)
    })
  }

  // ---------------------------------------------------------------- the elements

  build() {
    addStyles()
    const { say } = this
    const title = `cs-title-${++numbered}`
    this.path = element("nav", { class: "cs-path", "aria-label": say("folders") })
    this.searchField = element("input", {
      type: "search",
      class: "cs-field",
      placeholder: say("search"),
      "aria-label": say("search"),
      spellcheck: "false",
      input: () => {
        clearTimeout(this.typing)
        this.typing = setTimeout(() => this.show(this.folder), TYPING_MILLISECONDS)
      },
      keydown: (event) => {
        if (event.isComposing || (event.key !== "ArrowDown" && event.key !== "Enter")) return
        event.preventDefault()
        this.list.focus()
        if (event.key === "ArrowDown") this.move("ArrowDown")
      },
    })
    const again = (fresh) => this.show(this.folder, { fresh, mark: this.marked ?? this.expected })
    this.sort = this.choiceOf("sort", ["name", "newest", "largest"], (order) => say(`sort_${order}`), () => again())
    const nameOf = (value) => say(value === "kind" ? this.kind.text : "kind_all")
    this.files = this.choiceOf("kind", this.kind ? ["kind", "all"] : ["all"], nameOf, () => again())
    this.list = element("ul", {
      class: "cs-list",
      role: "listbox",
      tabindex: "0",
      "aria-label": say("entries"),
      keydown: (event) => this.onKey(event),
    })
    this.hint = element("p", { class: "cs-hint" })
    this.note = element("div", { class: "cs-note" })
    this.more = button(say("more"), () => this.showMore())
    this.status = element("output", { class: "cs-status" })
    this.markedName = element("span", { class: "cs-marked" })
    this.chooseButton = button(say("choose"), () => this.choose(), "cs-primary")
    this.place = element("span", { class: "cs-where" }, this.where())
    this.scroller = element("div", { class: "cs-scroller" }, this.hint, this.list, this.note, this.more)
    this.dialog = element(
      "dialog",
      { class: "cs-picker", "aria-labelledby": title },
      element(
        "header",
        {},
        element("h2", { id: title }, say(this.wants === "folder" ? "pick_folder" : "pick_file")),
        this.place,
        this.button("close", "✕", () => this.dialog.close()),
      ),
      element(
        "div",
        { class: "cs-tools" },
        this.path,
        this.searchField,
        ...(this.kind ? [this.files] : []),
        this.sort,
        this.button("reload", icon("reload"), () => again(true)),
      ),
      this.scroller,
      element(
        "footer",
        {},
        this.status,
        this.markedName,
        button(say("cancel"), () => this.dialog.close()),
        this.chooseButton,
      ),
    )
    this.observer = new IntersectionObserver(
      (seen) => {
        if (seen.some((one) => one.isIntersecting) && !this.more.hidden && !this.loading) this.showMore()
      },
      { root: this.scroller, rootMargin: "200px" },
    )
    this.observer.observe(this.more)
    keepEvents(this.dialog)
    this.dialog.addEventListener("click", (event) => {
      if (event.target === this.dialog) this.dialog.close() // the backdrop
    })
  }

  choiceOf(text, values, nameOf, change) {
    const options = values.map((value) => element("option", { value }, nameOf(value)))
    return element("select", { class: "cs-field", "aria-label": this.say(text), change }, ...options)
  }

  button(text, content, click) {
    const label = this.say(text)
    return button(content, click, "cs-bare", { "aria-label": label, title: label })
  }

  open(start) {
    document.body.append(this.dialog)
    this.dialog.showModal()
    this.list.focus()
    const isFile = start && !start.endsWith("/")
    if (this.kind && isFile && !isOfKind(this.kind, start)) this.files.value = "all" // so that it is in the list
    this.show(start.slice(0, start.lastIndexOf("/") + 1), { fresh: true, mark: isFile ? start : undefined })
  }

  /** Show the first page of a folder; `mark` is a key to mark as soon as it is in the list. */
  show(folder, { fresh = false, mark } = {}) {
    clearTimeout(this.typing)
    this.request?.abort()
    this.thumbnails.forget()
    this.folder = folder
    this.search = this.searchField.value.trim()
    this.fresh = fresh
    this.expected = mark
    this.entries = []
    this.arrived = [] // of the last answer, not in the list yet
    this.rows.clear()
    this.list.replaceChildren()
    this.hint.replaceChildren()
    this.following = ""
    this.hidden = 0
    this.total = null
    this.pages = 0
    this.mark(undefined)
    this.drawPath()
    return this.load()
  }

  async load() {
    const request = new AbortController()
    const { folder, search, following: token, fresh } = this
    const order = this.sort.value === "name" ? "" : this.sort.value
    const endings = this.files.value === "kind" ? this.kind.endings.join() : ""
    this.request = request
    this.loading = true
    this.update()
    try {
      const asked = { folder, search, token, order, endings, fresh, signal: request.signal }
      const page = await this.server.list(this.profile, asked)
      if (request.signal.aborted) return
      this.loading = false
      this.receive(page)
    } catch (error) {
      if (request.signal.aborted) return
      this.loading = false
      this.fail(error)
      return
    }
    this.fillDialog()
  }

  receive(page) {
    const { folders, files, following, place, profile, hidden = 0, total = null, complete = true } = page
    this.arrived.push(...folders.map((key) => ({ key, isFolder: true })), ...files)
    this.following = following
    this.hidden += hidden
    this.total = total
    if (place !== undefined) {
      const where = this.where(profile)
      this.place.title = [place, where].join(" · ")
      this.place.replaceChildren(element("strong", {}, place.replace(/\/$/, "")), ` · ${where}`)
    }
    if (!complete) this.hint.replaceChildren(this.say("incomplete", { total }))
    this.draw()
  }

  /** Show more rows: those that have arrived, else the next page. */
  showMore() {
    return this.arrived.length ? this.draw() : this.load()
  }

  /** Load more while the list does not fill the dialog: a page of a search may be empty. */
  fillDialog() {
    const room = this.scroller.scrollHeight <= this.scroller.clientHeight
    if (this.hasMore() && room && this.pages++ < PAGES_AT_ONCE) this.showMore()
  }

  hasMore() {
    return Boolean(this.arrived.length || this.following)
  }

  fail(error) {
    this.more.hidden = true
    this.note.replaceChildren(
      element("p", { role: "alert", class: "cs-error" }, error.message),
      button(this.say("retry"), () => this.show(this.folder)),
    )
    this.status.textContent = ""
    this.chooseButton.disabled = true
  }

  drawPath() {
    showPath(this.path, this.folder, this.say("top"), (above) => this.enter(above))
  }

  /** Add the next rows below the others. */
  draw() {
    const isFirst = !this.entries.length
    for (const entry of this.arrived.splice(0, ROWS_AT_ONCE)) {
      if (this.rows.has(entry.key)) continue // the next page names a folder again that it continues
      this.rows.set(entry.key, this.row(entry))
      this.entries.push(entry)
      this.list.append(this.rows.get(entry.key))
    }
    if (this.marked === undefined && this.rows.has(this.expected)) this.mark(this.expected, { scrolls: isFirst })
    this.update()
  }

  row(entry) {
    const { key, isFolder } = entry
    const cells = [nameCell(key.slice(this.folder.length).replace(/\/$/, "") || "/", key)]
    const small = element("span", { class: "cs-small" }, icon(isFolder ? "folder" : "file"))
    if (isFolder) cells.push(element("span", { class: "cs-unseen" }, this.say("folder")))
    else {
      cells.push(element("span", { class: "cs-size" }, sizeOf(entry.size, this.locale)))
      cells.push(element("span", { class: "cs-date" }, dateOf(entry.modified, this.locale)))
      this.thumbnails.offer(small, entry)
    }
    return element(
      "li",
      {
        class: "cs-row",
        role: "option",
        id: `cs-option-${++numbered}`,
        "aria-disabled": this.wants === "folder" && !isFolder ? "true" : undefined,
        click: () => this.onClick(entry),
        dblclick: () => this.clicked === key && this.clickedBefore === key && this.wants === "file" && this.choose(),
      },
      small,
      ...cells,
    )
  }

  /** Update the texts and buttons that depend on the list. */
  update() {
    const { say, entries, loading } = this
    this.more.hidden = loading || !this.hasMore()
    const nothing = !entries.length && !loading && !this.hasMore()
    this.note.replaceChildren(loading ? say("loading") : nothing ? this.nothing() : "")
    if (!loading) this.status.textContent = this.counted()
    const choice = this.choice()
    this.chooseButton.disabled = !choice
    this.markedName.replaceChildren(...(this.wants === "file" && choice ? [nameCell(choice.key, choice.key)] : []))
    if (this.wants === "folder") {
      const name = choice.key.split("/").at(-2)
      this.chooseButton.textContent = name === undefined ? say("choose_top") : say("choose_folder", { name })
      this.chooseButton.title = choice.key
    }
  }

  nothing() {
    return this.say(this.hidden ? "nothing_of_kind" : this.search ? "nothing_found" : "empty")
  }

  counted() {
    const { say, hidden, total } = this
    const count = this.entries.length
    const files = [...this.entries, ...this.arrived].filter((entry) => !entry.isFolder).length
    const parts = [
      total !== null && total > files
        ? say("count_first", { count: files, total, order: say(`sort_${this.sort.value}`) })
        : say(this.hasMore() ? "count_more" : count === 1 ? "count_one" : "count", { count }),
    ]
    if (hidden) parts.push(say(hidden === 1 ? "hidden_one" : "hidden", { hidden }))
    return parts.join(" · ")
  }

  // ---------------------------------------------------------------- what the user does

  mark(key, { scrolls = true } = {}) {
    this.list.querySelector('[aria-selected="true"]')?.removeAttribute("aria-selected")
    const row = this.rows.get(key)
    this.marked = row && key
    if (row) {
      row.setAttribute("aria-selected", "true")
      this.list.setAttribute("aria-activedescendant", row.id)
      if (scrolls) row.scrollIntoView({ block: "nearest" })
    } else this.list.removeAttribute("aria-activedescendant")
    this.update()
  }

  entry() {
    return this.marked === undefined ? undefined : this.entries.find((entry) => entry.key === this.marked)
  }

  onClick(entry) {
    this.clickedBefore = this.clicked // a double click counts only if both clicks were on the same row
    this.clicked = entry.key
    if (entry.isFolder) this.enter(entry.key)
    else this.mark(entry.key)
  }

  enter(folder) {
    const from = this.folder
    const left = from.startsWith(folder) ? from.slice(0, from.indexOf("/", folder.length) + 1) : ""
    this.searchField.value = ""
    this.show(folder, { mark: left || undefined })
    this.list.focus()
  }

  /** The entry that the button would choose; null for none. */
  choice() {
    const entry = this.entry()
    if (this.wants === "folder") return { key: entry?.isFolder ? entry.key : this.folder }
    return entry && !entry.isFolder ? entry : null
  }

  choose() {
    if (this.chooseButton.disabled) return
    this.chosen = this.choice()
    this.dialog.close()
  }

  move(key) {
    const rows = Math.max(1, Math.floor(this.scroller.clientHeight / (this.list.firstChild?.offsetHeight || 1)) - 1)
    const moves = { ArrowDown: 1, ArrowUp: -1, PageDown: rows, PageUp: -rows, Home: -Infinity, End: Infinity }
    if (!(key in moves)) return false
    const now = this.entries.findIndex((entry) => entry.key === this.marked) // -1: above the first one
    const next = Math.min(this.entries.length - 1, Math.max(0, now + moves[key]))
    if (next >= 0) this.mark(this.entries[next].key)
    return true
  }

  onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return
    const entry = this.entry()
    if (this.move(event.key)) event.preventDefault()
    else if (event.key === "Enter" || event.key === "ArrowRight") {
      if (entry?.isFolder) this.enter(entry.key)
      else if (event.key === "Enter" && entry && this.wants === "file") this.choose()
      event.preventDefault()
    } else if (event.key === "Backspace" || event.key === "ArrowLeft") {
      if (this.folder) this.enter(this.folder.replace(/[^/]*\/$/, ""))
      event.preventDefault()
    } else if (event.key === "Process" || (event.key.length === 1 && event.key !== " ")) {
      this.searchField.focus() // the letter is typed there
    }
  }
}

/** An element with a key or a part of one; if there is too little room, its end stays visible. */
function nameCell(name, key) {
  const letters = [...name]
  const parts = [letters.slice(0, -NAME_END).join(""), letters.slice(-NAME_END).join("")]
  const pieces = letters.length > NAME_END ? parts.map((part) => element("span", {}, part)) : [name]
  return element("span", { class: "cs-name", title: key }, ...pieces)
}

