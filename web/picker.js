/**
 * A dialog to choose a file or a folder of a bucket, or a file of ComfyUI's own folders: the panel Files, filtered by
 * what a node takes. Does not use ComfyUI.
 */

import { button, element } from "./dom.js"
import { dialogOf, show } from "./dialog.js"
import { FileBrowser } from "./file_browser.js"
import { isFolder, nameOf } from "./file_cells.js"
import { ALL_FILES, isOfKind } from "./kinds.js"

/**
 * Resolves with the chosen entry: `{key}` of a folder, which ends in "/" or is "" for the top, or a file as the server
 * lists it. Resolves with null if none was chosen.
 *
 * `files` is `files` or `local` of api.js, and `profile` what it takes. `where(used)` returns its name for the title;
 * `used` is the name of the profile that the server used, undefined before it has answered. `start` is a key or folder
 * to begin at, `wants` is "file" or "folder", and `kind` is one of KINDS of kinds.js if only such files can be used.
 */
export function pick(given) {
  return new Promise((resolve) => new Picker(given, resolve).open())
}

class Picker {
  constructor({ files, say, locale, profile, where, start = "", wants = "file", kind = null }, resolve) {
    Object.assign(this, { say, profile, where, start, kind })
    this.wantsFile = wants === "file"
    this.browser = new FileBrowser({
      files,
      say,
      locale,
      kinds: { ...(kind && { kind }), all: ALL_FILES },
      asked: { order: "name", flat: "1" },
      layout: "rows",
      isMultiple: false,
      looks: true,
      canTake: (entry) => this.wantsFile || isFolder(entry),
      on: { open: () => this.wantsFile && this.choose(), changed: () => this.draw() },
    })
    this.marked = element("span", { class: "cs-marked" })
    this.chooseButton = button(say("choose"), () => this.choose(), "cs-primary")
    this.dialog = dialogOf(
      { look: "cs-picker", title: say(this.wantsFile ? "pick_file" : "pick_folder"), close: say("close") },
      this.browser.element,
      element(
        "footer",
        {},
        this.browser.status,
        this.marked,
        button(say("cancel"), () => this.dialog.close()),
        this.chooseButton,
      ),
    )
    this.title = this.dialog.querySelector(".cs-where")
    this.title.textContent = where()
    this.dialog.addEventListener("click", (event) => {
      if (event.target === this.dialog) this.dialog.close() // the backdrop
    })
    this.dialog.addEventListener("close", () => {
      this.browser.close()
      this.browser.pictures.close()
      resolve(this.chosen ?? null)
    })
  }

  open() {
    const { browser, start, kind } = this
    show(this.dialog)
    browser.open()
    browser.grid.element.focus()
    const isFile = start && !start.endsWith("/")
    const isKind = kind && !(isFile && !isOfKind(kind, start)) // else the file that is chosen now would not be seen
    browser.tools.kind.value = isKind ? "kind" : "all"
    const folder = start.slice(0, start.lastIndexOf("/") + 1)
    const endings = isKind ? kind.endings.join() : ""
    browser.show({ folder, endings }, { at: isFile ? start : "", place: this.profile })
  }

  draw() {
    const { say, browser } = this
    const { bucket, prefix, profile } = browser.list.where ?? {}
    if (bucket) {
      const place = `${bucket}/${prefix}`
      const used = this.where(profile)
      this.title.title = `${place} · ${used}`
      this.title.replaceChildren(element("strong", {}, place.replace(/\/$/, "")), ` · ${used}`)
    }
    const choice = this.choice()
    this.chooseButton.disabled = !choice
    if (this.wantsFile) return this.marked.replaceChildren(...(choice ? [nameOf(choice.key, choice.key)] : []))
    const name = choice?.key.split("/").at(-2)
    this.chooseButton.textContent = name === undefined ? say("choose_top") : say("choose_folder", { name })
    this.chooseButton.title = choice?.key ?? ""
  }

  /** The entry that the button would choose; null for none. */
  choice() {
    const { list, selected } = this.browser
    const [entry] = selected.values()
    if (this.wantsFile) return entry && !isFolder(entry) ? entry : null
    return list.error ? null : { key: entry && isFolder(entry) ? entry.key : list.asked.folder }
  }

  choose() {
    this.chosen = this.choice()
    if (this.chosen) this.dialog.close()
  }
}
