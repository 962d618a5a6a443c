/**
 * The panel Files of the tab Cloud: the files of a bucket, newest first, with what can be done with them. Reaches the
 * server only through the object of api.js, and does not use ComfyUI: `on` does what its page does.
 */

import { button, copy, dateOf, element, icon, sizeOf } from "./dom.js"
import { FileBrowser } from "./file_browser.js"
import { isFolder } from "./file_cells.js"
import { ALL_FILES, FILE_KINDS } from "./kinds.js"
import { ProfileChoice } from "./profile_choice.js"

const MOST_INSERTED = 20 // nodes at once
const HOURS = { 1: "files_hour", 24: "files_day", 168: "files_week" } // for which a shared link works
export const DRAGGED = "application/x-comfyui-cloud-storage"

export class FilesTab {
  /**
   * `on` has `insert(profile, files)`, and, where the page can do it, `openWorkflow(profile, file)`,
   * `mayHaveWorkflow(key)`, `openExample()` for an empty bucket, and `setUp()`, which resolves with the name of a new
   * profile or null.
   */
  constructor({ server, say, locale, on }) {
    Object.assign(this, { server, say, locale, on })
    this.isSetUp = false
    this.browser = new FileBrowser({
      files: server.files,
      say,
      locale,
      kinds: { all: ALL_FILES, ...FILE_KINDS },
      layout: "grid",
      isMultiple: true,
      on: {
        open: (file) => this.openFile(file),
        changed: () => this.drawFooter(),
        drag: (event, files) => this.drag(event, files),
        openExample: on.openExample,
      },
    })
    this.tools = this.browser.tools.buttons
    this.choice = new ProfileChoice({ server, say, changed: () => this.showProfile() })
    this.unset = element("div", { class: "cs-models-empty" })
    this.about = element("div", { class: "cs-files-about" })
    this.actions = element("div", { class: "cs-files-actions", role: "toolbar", "aria-label": say("files_actions") })
    const parts = [this.about, this.actions, this.browser.status]
    this.footer = element("footer", { class: "cs-files-footer" }, ...parts)
    this.element = element(
      "section",
      { class: "cs-files", "aria-label": say("cloud_files") },
      this.choice.element,
      this.unset,
      this.browser.element,
      this.footer,
    )
  }

  open(place) {
    this.place = place
    place.replaceChildren(this.element)
    this.browser.open()
    if (!this.isSetUp) this.start()
    else this.browser.list.look()
  }

  close() {
    if (!this.place) return
    this.place = undefined
    this.element.remove()
    this.browser.close()
  }

  /** Show what this ComfyUI has just stored or deleted. */
  lookSoon() {
    if (this.place) this.browser.list.lookSoon()
  }

  /** Ask which profiles there are, and show the one that is used by default; else `wanted`. */
  start(wanted) {
    return this.browser.run(async () => {
      const error = await this.choice.ask(wanted)
      this.isSetUp = !error
      for (const part of [this.browser.element, ...this.tools]) part.hidden = Boolean(error)
      this.unset.replaceChildren(...(error ? this.setUpHelp(error) : []))
      if (!error) await this.showProfile()
    })
  }

  showProfile() {
    return this.browser.show({ folder: "" }, { place: { profile: this.choice.value } })
  }

  setUpHelp(error) {
    const { say, on } = this
    const text = element("p", {}, on.setUp ? say("files_unset_help") : say.message(error))
    const byHand = on.setUp ? [element("p", { class: "cs-models-detail" }, say.message(error))] : []
    const further = on.setUp ? [button(say("setup_title"), () => this.setUp(), "cs-primary")] : []
    return [icon("cloud"), element("h3", {}, say("files_unset")), text, ...further, ...byHand]
  }

  drawFooter() {
    const { say, locale } = this
    const chosen = [...this.browser.selected.values()]
    const files = chosen.filter((one) => !isFolder(one))
    const bytes = files.reduce((sum, { size }) => sum + size, 0)
    const about =
      chosen.length === 1
        ? [element("strong", {}, chosen[0].key), detailOf(chosen[0], locale)]
        : chosen.length
          ? [element("strong", {}, say("files_selected", { count: chosen.length })), sizeOf(bytes, locale)]
          : []
    this.about.replaceChildren(...about.flatMap((part) => [part, " "]))
    this.about.hidden = !about.length
    this.footer.hidden = !about.length && !this.browser.status.textContent
    this.drawActions(files)
  }

  drawActions(files) {
    const { say, on } = this
    const isSharing = files.length === 1 && files[0].key === this.shared
    const known = `${files.map(({ key }) => key).join("\n")}${isSharing}`
    if (this.actions.csKnown === known) return
    this.actions.csKnown = known
    const act = (text, click, look = "") => button(say(text), click, look)
    const made = []
    if (isSharing) {
      for (const [hours, text] of Object.entries(HOURS)) made.push(act(text, () => this.share(files, hours)))
      made.push(act("cancel", () => this.setShared(""), "cs-bare"))
    } else if (files.length) {
      if (files.length <= MOST_INSERTED) made.push(act("files_insert", () => this.insert(files), "cs-primary"))
      if (files.length === 1) made.push(act("files_open", () => this.openFile(files[0])))
      if (files.length === 1 && on.openWorkflow && on.mayHaveWorkflow(files[0].key))
        made.push(act("files_workflow", () => on.openWorkflow(this.choice.value, files[0])))
      made.push(act(files.length === 1 ? "files_link" : "files_links", () => this.link(files)))
      if (files.length === 1) made.push(act("files_share", () => this.setShared(files[0].key)))
    }
    this.actions.replaceChildren(...made)
  }

  // ---------------------------------------------------------------- what the user does

  /** Offer links to a file that work for a time; "" for none. */
  setShared(key) {
    this.shared = key
    this.drawFooter()
    this.actions.querySelector("button")?.focus()
  }

  /** Open a tab at once, while the browser knows that a click asked for it. */
  openFile(file) {
    const tab = window.open("", "_blank")
    if (tab) tab.opener = null
    return this.browser.run(async () => {
      try {
        const address = await this.server.open({ profile: this.choice.value, key: file.key })
        if (tab) tab.location.replace(address)
        else window.open(address, "_blank", "noopener,noreferrer")
      } catch (error) {
        tab?.close()
        throw error
      }
    })
  }

  insert(files) {
    this.on.insert(this.choice.value, files)
  }

  link(files) {
    return this.browser.run(async () => {
      const found = []
      for (const { key } of files) found.push(await this.server.files.link({ profile: this.choice.value, key }))
      await copy(found.map(({ address }) => address).join("\n"))
      this.tell(found.every((one) => one.public) ? "copied" : "files_copied_private")
    })
  }

  share([file], hours) {
    return this.browser.run(async () => {
      const asked = { profile: this.choice.value, key: file.key, hours }
      await copy((await this.server.files.share(asked)).address)
      this.shared = ""
      this.tell("files_shared", { time: this.say(HOURS[hours]) })
    })
  }

  drag(event, files) {
    if (!files.length) return event.preventDefault()
    const dragged = files.slice(0, MOST_INSERTED).map(({ key }) => ({ key }))
    event.dataTransfer.setData(DRAGGED, JSON.stringify({ profile: this.choice.value, files: dragged }))
    event.dataTransfer.effectAllowed = "copy"
  }

  async setUp() {
    const name = await this.on.setUp()
    if (name) await this.start(name)
  }

  tell(text, values) {
    this.browser.tell(this.say(text, values))
  }
}

function detailOf(entry, locale) {
  const size = entry.size === undefined ? "" : sizeOf(entry.size, locale)
  return [size, dateOf(entry.modified, locale)].filter(Boolean).join(" · ")
}
