/**
 * A modal dialog in ComfyUI's page, which listens to shortcuts and pastes everywhere.
 */

import { addStyles, button, element } from "./dom.js"

const HEARD = ["keydown", "keyup", "keypress", "copy", "cut", "paste", "pointerdown", "wheel", "contextmenu"]

let numbered = 0 // makes the ids of elements unique

/**
 * A `<dialog>` with a title and a button that closes it; what happens in it does not reach the page. It is removed once
 * it is closed. Open it with `show()`.
 */
export function dialogOf({ look, title, close }, ...children) {
  addStyles()
  const id = `cs-dialog-${++numbered}`
  const cross = button("✕", () => made.close(), "cs-bare", { "aria-label": close, title: close })
  const header = element("header", {}, element("h2", { id }, title), element("span", { class: "cs-where" }), cross)
  const made = element("dialog", { class: look, "aria-labelledby": id }, header, ...children)
  keepEvents(made)
  made.addEventListener("close", () => made.remove())
  return made
}

/** Keep events of a dialog from the page. */
export function keepEvents(dialog) {
  for (const event of HEARD) dialog.addEventListener(event, (happened) => happened.stopPropagation())
}

export function show(dialog) {
  document.body.append(dialog)
  dialog.showModal()
}
