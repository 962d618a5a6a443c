/**
 * The lines that a node has to tell when it has run: a status, and addresses to open and to copy.
 */

import { addStyles, copy, element, icon } from "./elements.js"

const COPIED_MILLISECONDS = 1500

/** An element that shows lines; `show(lines)` replaces them. `say` gives texts, `name` is the node's for readers. */
export function linesElement(say, name) {
  addStyles()
  const body = element("div", { class: "cs-lines-body" })
  const box = element(
    "div",
    { class: "cs-lines", role: "region", "aria-live": "polite", "aria-label": say("result", { name }) },
    body,
  )
  // Text can be selected and links clicked; the canvas below would take the pointer for dragging the node.
  for (const event of ["pointerdown", "pointermove", "mousedown", "dblclick", "contextmenu"])
    box.addEventListener(event, (happened) => happened.stopPropagation())
  // It scrolls only where there is something to scroll; elsewhere the wheel zooms the canvas as usual.
  box.addEventListener("wheel", (happened) => {
    if (body.scrollHeight > body.clientHeight && !happened.ctrlKey) happened.stopPropagation()
  })
  const show = (lines) => {
    const addresses = lines.filter(isAddress)
    body.replaceChildren(...lines.map((line) => (isAddress(line) ? link(line, say) : text(say.message(line)))))
    if (addresses.length > 1) body.append(copyButton(addresses.join("\n"), say, say("copy_all")))
  }
  return { element: box, show }
}

/** Whether a line is an address to open. Only these two schemes become links. */
export function isAddress(line) {
  return /^https?:\/\/\S+$/.test(line)
}

function text(line) {
  return element("div", { class: "cs-line" }, line)
}

function link(address, say) {
  // A signature is long and tells nobody anything: it is in the link, not in the text. Where there is no room for the
  // rest, the file's name is what stays.
  const [place, query] = address.split("?")
  const shown = decoded(place)
  const name = shown.lastIndexOf("/") + 1
  return element(
    "div",
    { class: "cs-line cs-address" },
    element(
      "a",
      { href: address, target: "_blank", rel: "noopener noreferrer", title: shown },
      element("span", { class: "cs-folder" }, shown.slice(0, name)),
      element("span", { class: "cs-file" }, shown.slice(name) + (query ? "?…" : "")),
    ),
    copyButton(address, say),
  )
}

function decoded(address) {
  try {
    return decodeURI(address)
  } catch {
    return address
  }
}

function copyButton(content, say, label) {
  const button = element(
    "button",
    {
      type: "button",
      class: label ? "cs-button" : "cs-button cs-bare",
      "aria-label": label ?? say("copy"),
      title: label ?? say("copy"),
      click: async () => {
        await copy(content)
        button.dataset.done = say("copied")
        setTimeout(() => delete button.dataset.done, COPIED_MILLISECONDS)
      },
    },
    label ?? icon("copy"),
  )
  return button
}
