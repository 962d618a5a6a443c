/**
 * The lines that a node shows after a run: a status, warnings and errors, and addresses to open and to copy.
 */

import { addStyles, button, copy, element, icon } from "./dom.js"

const COPIED_MILLISECONDS = 1500
const MEASURED_MIN_PIXELS = 44

/**
 * Make an element that shows lines: `show(lines)` replaces them, `age(isOld)` marks them as of an earlier run, and
 * `height(width)` measures them for a box of that width. `say` returns texts, `name` is the node's name for screen
 * readers, `open(object)` resolves with an address at which the browser can open an object.
 */
export function linesElement(say, name, open) {
  addStyles()
  const body = element("div", { class: "cs-lines-body" })
  const box = element(
    "div",
    { class: "cs-lines", role: "region", "aria-live": "polite", "aria-label": say("result", { name }) },
    body,
  )
  // So that text can be selected and links clicked: the canvas would drag the node instead.
  for (const event of ["pointerdown", "pointermove", "mousedown", "dblclick", "contextmenu"])
    box.addEventListener(event, (happened) => happened.stopPropagation())
  // The wheel scrolls if there is something to scroll; otherwise it zooms the canvas as usual.
  box.addEventListener("wheel", (happened) => {
    if (body.scrollHeight > body.clientHeight && !happened.ctrlKey) happened.stopPropagation()
  })
  const show = (given) => {
    const lines = given.map(lineOf)
    const addresses = lines.filter(({ text }) => isAddress(text)).map(({ text }) => text)
    body.replaceChildren(...lines.map((line) => (isAddress(line.text) ? link(line, say, openObject) : text(line, say))))
    if (addresses.length > 1) body.append(copyButton(addresses.join("\n"), say, say("copy_all")))
    const worst = ["error", "warning"].find((level) => lines.some((line) => line.level === level))
    if (worst) box.dataset.level = worst
    else delete box.dataset.level
    body.scrollTop = 0
  }
  // Open a tab at once, while the browser knows that a click asked for it. If it opens none, as in ComfyUI's desktop
  // program, open the address as soon as it has arrived.
  const openObject = async (object) => {
    const tab = window.open("", "_blank")
    if (tab) tab.opener = null
    body.querySelector(".cs-not-opened")?.remove()
    try {
      const address = await open(object)
      if (!isAddress(address)) throw new Error(address)
      if (tab) tab.location.replace(address)
      else window.open(address, "_blank", "noopener,noreferrer")
    } catch (error) {
      tab?.close()
      body.append(element("div", { class: "cs-line cs-error cs-not-opened" }, error.message))
    }
  }
  return {
    element: box,
    show,
    age: (isOld) => box.classList.toggle("cs-old", isOld),
    height: (width) => heightOf(body, width),
  }
}

/** A line as the server sends it, a text or a list of the text and `{level, opens}`, as an object. */
function lineOf(line) {
  return Array.isArray(line) ? { ...line[1], text: String(line[0]) } : { text: String(line) }
}

/** Whether a line is an address to open. Only these two schemes become links. */
export function isAddress(line) {
  return /^https?:\/\/\S+$/.test(line)
}

/** Measure how high a box of a width must be for all lines, with an invisible copy. */
function heightOf(body, width) {
  const measured = element(
    "div",
    { class: "cs-lines cs-measured", "aria-hidden": "true", style: `width: ${width}px` },
    body.cloneNode(true),
  )
  document.body.append(measured)
  const height = measured.offsetHeight
  measured.remove()
  return Math.max(MEASURED_MIN_PIXELS, height)
}

function text({ text, level }, say) {
  const kind = level === "error" || level === "warning" ? `cs-line cs-${level}` : "cs-line"
  return element("div", { class: kind }, say.message(text))
}

function link({ text: address, opens }, say, openObject) {
  // The text leaves out the signature, which is long and says nothing. If there is little room, it keeps the file name.
  const [place, query] = address.split("?")
  const shown = decoded(place)
  const name = shown.lastIndexOf("/") + 1
  const anchor = element(
    "a",
    { href: address, target: "_blank", rel: "noopener noreferrer", title: shown },
    element("span", { class: "cs-folder" }, shown.slice(0, name)),
    element("span", { class: "cs-file" }, shown.slice(name) + (query ? "?…" : "")),
  )
  // The plain address of a private bucket does not open: a click, also of the middle button, asks for a signed one.
  for (const event of opens ? ["click", "auxclick"] : [])
    anchor.addEventListener(event, (happened) => {
      if (happened.button > 1) return
      happened.preventDefault()
      openObject(opens)
    })
  return element("div", { class: "cs-line cs-address" }, anchor, copyButton(address, say))
}

function decoded(address) {
  try {
    return decodeURI(address)
  } catch {
    return address
  }
}

function copyButton(content, say, label) {
  const click = async () => {
    await copy(content)
    made.dataset.done = say("copied")
    setTimeout(() => delete made.dataset.done, COPIED_MILLISECONDS)
  }
  const title = label ?? say("copy")
  const made = button(label ?? icon("copy"), click, label ? "" : "cs-bare", { "aria-label": title, title })
  return made
}
