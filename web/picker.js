/**
 * A dialog to choose a file or a folder of a bucket, by pointer or by keyboard.
 *
 * It knows the server only as the object of server.js, and nothing of ComfyUI.
 */

import { addStyles, element, icon } from "./elements.js"
import { Thumbnails } from "./thumbnails.js"

const TYPING_MILLISECONDS = 300 // from the last letter to the search
const PAGES_UNASKED = 5 // that are loaded one after another without scrolling, while there is room to show more

let numbered = 0 // of elements that others point at by id

/**
 * Resolves with the key that was chosen, a folder's ending in "/" or "" for the top, and with null for none.
 *
 * `profile` is what server.js takes, `where` its name for the title, `start` a key or folder to begin at; `wants` is
 * "file" or "folder".
 */
export function pick({ server, say, locale, profile, where, start = "", wants = "file" }) {
  return new Promise((resolve) => new Picker({ server, say, locale, profile, where, wants }, resolve).open(start))
}

class Picker {
  constructor({ server, say, locale, profile, where, wants }, resolve) {
    Object.assign(this, { server, say, profile, wants })
    this.thumbnails = new Thumbnails((file, signal) => server.thumbnail(profile, file, signal))
    this.date = new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "short" })
    this.number = new Intl.NumberFormat(locale, { maximumFractionDigits: 1 })
    this.build(where)
    this.dialog.addEventListener("close", () => {
      this.request?.abort()
      this.thumbnails.close()
      this.sight.disconnect()
      clearTimeout(this.typing)
      this.dialog.remove()
      resolve(this.chosen ?? null)
    })
  }

  // ---------------------------------------------------------------- what is on the screen

  build(where) {
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
        if (event.key !== "ArrowDown" && event.key !== "Enter") return
        event.preventDefault()
        this.list.focus()
      },
    })
    this.sort = element(
      "select",
      { class: "cs-field", "aria-label": say("sort"), change: () => this.draw() },
      ...["name", "newest", "largest"].map((order) => element("option", { value: order }, say(`sort_${order}`))),
    )
    this.list = element("ul", {
      class: "cs-list",
      role: "listbox",
      tabindex: "0",
      "aria-label": say("entries"),
      keydown: (event) => this.onKey(event),
    })
    this.note = element("div", { class: "cs-note" })
    this.more = element("button", { type: "button", class: "cs-button", click: () => this.load() }, say("more"))
    this.status = element("output", { class: "cs-status" })
    this.chooseButton = element(
      "button",
      { type: "button", class: "cs-button cs-primary", click: () => this.choose() },
      say(this.wants === "folder" ? "choose_folder" : "choose"),
    )
    this.scroller = element("div", { class: "cs-scroller" }, this.list, this.note, this.more)
    this.dialog = element(
      "dialog",
      { class: "cs-picker", "aria-labelledby": title },
      element(
        "header",
        {},
        element("h2", { id: title }, say(this.wants === "folder" ? "pick_folder" : "pick_file")),
        element("span", { class: "cs-where", title: where }, where),
        this.button("close", "✕", () => this.dialog.close()),
      ),
      element(
        "div",
        { class: "cs-tools" },
        this.path,
        this.searchField,
        this.sort,
        this.button("reload", icon("reload"), () => this.show(this.folder, { fresh: true })),
      ),
      this.scroller,
      element(
        "footer",
        {},
        this.status,
        element("button", { type: "button", class: "cs-button", click: () => this.dialog.close() }, say("cancel")),
        this.chooseButton,
      ),
    )
    this.sight = new IntersectionObserver(
      (seen) => {
        if (seen.some((one) => one.isIntersecting) && !this.more.hidden && !this.loading) this.load()
      },
      { root: this.scroller, rootMargin: "200px" },
    )
    this.sight.observe(this.more)
    // ComfyUI's own shortcuts and its paste listen on the whole page.
    for (const event of ["keydown", "keyup", "keypress", "copy", "cut", "paste", "pointerdown", "wheel", "contextmenu"])
      this.dialog.addEventListener(event, (happened) => happened.stopPropagation())
    this.dialog.addEventListener("click", (event) => {
      if (event.target === this.dialog) this.dialog.close() // beside it
    })
  }

  button(text, content, click) {
    const label = this.say(text)
    const attributes = { type: "button", class: "cs-button cs-bare", "aria-label": label, title: label, click }
    return element("button", attributes, content)
  }

  open(start) {
    document.body.append(this.dialog)
    this.dialog.showModal()
    this.list.focus()
    this.wanted = start
    this.show(start.slice(0, start.lastIndexOf("/") + 1), { fresh: true })
  }

  /** Show a folder from its first page on. */
  show(folder, { fresh = false } = {}) {
    this.request?.abort()
    this.thumbnails.forget()
    this.folder = folder
    this.search = this.searchField.value.trim()
    this.fresh = fresh
    this.folders = []
    this.files = []
    this.following = ""
    this.loading = false
    this.unasked = 0
    this.drawPath()
    this.draw()
    return this.load()
  }

  async load() {
    const request = new AbortController()
    const { folder, search, following: token, fresh } = this
    this.request = request
    this.loading = true
    this.tell()
    try {
      const page = await this.server.list(this.profile, { folder, search, token, fresh, signal: request.signal })
      if (request.signal.aborted) return
      this.loading = false
      this.folders.push(...page.folders)
      this.files.push(...page.files)
      this.following = page.following
      this.draw()
    } catch (error) {
      if (request.signal.aborted) return
      this.loading = false
      this.fail(error)
      return
    }
    this.loadUnasked()
  }

  /** Where there is still room below what was found, go on: a search may find nothing in a page. */
  loadUnasked() {
    const room = this.scroller.scrollHeight <= this.scroller.clientHeight
    if (this.following && room && this.unasked++ < PAGES_UNASKED) this.load()
  }

  fail(error) {
    this.more.hidden = true
    this.note.replaceChildren(
      element("p", { role: "alert", class: "cs-error" }, error.message),
      element("button", { type: "button", class: "cs-button", click: () => this.show(this.folder) }, this.say("retry")),
    )
    this.status.textContent = ""
    this.chooseButton.disabled = true
  }

  drawPath() {
    const names = this.folder.split("/").slice(0, -1)
    const steps = [this.say("top"), ...names].map((name, depth) =>
      element(
        "button",
        {
          type: "button",
          class: "cs-step",
          "aria-current": depth === names.length ? "location" : undefined,
          click: () => this.enter(names.slice(0, depth).map((each) => `${each}/`).join("")),
        },
        name,
      ),
    )
    this.path.replaceChildren(...steps)
    this.path.scrollLeft = this.path.scrollWidth
  }

  draw() {
    const order = ORDERS[this.sort.value]
    const files = order ? [...this.files].sort(order) : this.files
    const before = this.wanted ?? this.entries?.[this.current]?.key
    this.entries = [...this.folders.map((key) => ({ key, isFolder: true })), ...files]
    const found = this.entries.findIndex((entry) => entry.key === before)
    this.thumbnails.forget()
    this.list.replaceChildren(...this.entries.map((entry, index) => this.row(entry, index)))
    this.select(Math.max(0, found), { scrolls: found >= 0 && this.wanted !== undefined })
    if (found >= 0) this.wanted = undefined
  }

  row(entry, index) {
    const name = entry.key.slice(this.folder.length)
    const cells = [element("span", { class: "cs-name", title: entry.key }, name.replace(/\/$/, ""))]
    const small = element("span", { class: "cs-small" }, icon(entry.isFolder ? "folder" : "file"))
    if (entry.isFolder) cells.push(element("span", { class: "cs-unseen" }, this.say("folder")))
    else {
      const date = entry.modified ? this.date.format(new Date(entry.modified)) : ""
      cells.push(element("span", { class: "cs-size" }, this.size(entry.size)))
      cells.push(element("span", { class: "cs-date" }, date))
      this.thumbnails.offer(small, entry)
    }
    return element(
      "li",
      {
        class: "cs-row",
        role: "option",
        id: `cs-option-${++numbered}`,
        "aria-disabled": this.wants === "folder" && !entry.isFolder ? "true" : undefined,
        click: () => (entry.isFolder ? this.enter(entry.key) : this.select(index)),
        dblclick: () => !entry.isFolder && this.choose(),
      },
      small,
      ...cells,
    )
  }

  size(bytes) {
    let unit = 0
    let value = bytes
    while (value >= 1000 && unit < UNITS.length - 1) {
      value /= 1000
      unit++
    }
    return `${this.number.format(value)} ${UNITS[unit]}`
  }

  tell() {
    const { say, entries, following, loading } = this
    this.more.hidden = !following || loading
    const nothing = !entries.length && !loading && !following
    this.note.replaceChildren(loading ? say("loading") : nothing ? say(this.search ? "nothing_found" : "empty") : "")
    if (!loading) this.status.textContent = say(following ? "count_more" : "count", { count: entries.length })
    this.chooseButton.disabled = !this.isChoice()
  }

  // ---------------------------------------------------------------- what the user does

  select(index, { scrolls = true } = {}) {
    this.list.querySelector('[aria-selected="true"]')?.removeAttribute("aria-selected")
    const row = this.list.children[index]
    this.current = index
    if (row) {
      row.setAttribute("aria-selected", "true")
      this.list.setAttribute("aria-activedescendant", row.id)
      if (scrolls) row.scrollIntoView({ block: "nearest" })
    } else this.list.removeAttribute("aria-activedescendant")
    this.tell()
  }

  enter(folder) {
    const from = this.folder
    this.searchField.value = ""
    this.wanted = from.startsWith(folder) ? from.slice(0, from.indexOf("/", folder.length) + 1) : undefined
    this.show(folder)
    this.list.focus()
  }

  isChoice() {
    const entry = this.entries[this.current]
    return this.wants === "folder" || Boolean(entry && !entry.isFolder)
  }

  choose() {
    if (!this.isChoice()) return
    this.chosen = this.wants === "folder" ? this.folder : this.entries[this.current].key
    this.dialog.close()
  }

  onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return
    const last = this.entries.length - 1
    const rows = Math.max(1, Math.floor(this.scroller.clientHeight / (this.list.firstChild?.offsetHeight || 1)) - 1)
    const moves = { ArrowDown: 1, ArrowUp: -1, PageDown: rows, PageUp: -rows, Home: -Infinity, End: Infinity }
    const entry = this.entries[this.current]
    if (event.key in moves) {
      if (last >= 0) this.select(Math.min(last, Math.max(0, this.current + moves[event.key])))
    } else if (event.key === "Enter" || event.key === "ArrowRight") {
      if (entry?.isFolder) this.enter(entry.key)
      else if (event.key === "Enter") this.choose()
    } else if (event.key === "Backspace" || event.key === "ArrowLeft") {
      if (this.folder) this.enter(this.folder.replace(/[^/]*\/$/, ""))
    } else return
    event.preventDefault()
  }
}

const UNITS = ["B", "kB", "MB", "GB", "TB"]

/** Of files; the server gives them by name. */
const ORDERS = {
  newest: (one, other) => (other.modified ?? "").localeCompare(one.modified ?? ""),
  largest: (one, other) => other.size - one.size,
}
