/**
 * Makes elements without HTML: keys and messages may have any character, so a text always stays a text.
 */

/** An element with attributes, listeners (functions by event name), and children: elements and texts. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name)
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(key, value)
    else if (value !== undefined && value !== false) made.setAttribute(key, value === true ? "" : value)
  }
  made.append(...children)
  return made
}

/** A button with the classes `cs-button` and `look`. It submits no form. */
export function button(content, click, look = "", attributes = {}) {
  return element("button", { type: "button", class: `cs-button ${look}`.trim(), click, ...attributes }, content)
}

const SHAPES = {
  folder: "M1.5 3.5h4l1.5 2h7.5v8h-13z",
  rows: "M2 4h12M2 8h12M2 12h12",
  file: "M3.5 1.5h6l3 3v10h-9zM9.5 1.5v3h3",
  copy: "M5.5 5.5h8v8h-8zM3.5 10.5h-1v-8h8v1",
  reload: "M13 8a5 5 0 1 1-1.5-3.6M13 1.5v3h-3",
  up: "M8 13V3M4 7l4-4 4 4",
  here: "M3 8.5l3.5 3.5 6.5-8",
  cloud: "M4.5 12.5a3 3 0 0 1-.3-6 4 4 0 0 1 7.7.6 2.7 2.7 0 0 1-.4 5.4z",
  download: "M8 2.5v7.5M4.5 7 8 10.5 11.5 7M2.5 13.5h11",
  missing: "M8 1.8 15 14H1zM8 6.5v3.6M8 11.6v.9",
  cross: "M4 4l8 8M12 4l-8 8",
  search: "M7 12A5 5 0 1 0 7 2a5 5 0 0 0 0 10zM10.6 10.6 14 14",
}

/** A small line drawing; hidden from screen readers, since a text beside it says the same. */
export function icon(name) {
  const space = "http://www.w3.org/2000/svg"
  const svg = document.createElementNS(space, "svg")
  const path = document.createElementNS(space, "path")
  for (const [key, value] of Object.entries({ viewBox: "0 0 16 16", "aria-hidden": "true", class: "cs-icon" }))
    svg.setAttribute(key, value)
  path.setAttribute("d", SHAPES[name])
  svg.append(path)
  return svg
}

/**
 * Make `old` look like `made`, which nobody else uses: elements that are alike stay, so that neither the focus nor a
 * click that has begun is lost. They keep their listeners; those with another `data-act` do something else, and are
 * replaced.
 */
export function patch(old, made) {
  const isAlike = old.nodeName === made.nodeName && old.dataset?.act === made.dataset?.act
  if (!isAlike) return old.replaceWith(made)
  if (old.nodeType === Node.TEXT_NODE) {
    if (old.data !== made.data) old.data = made.data
    return
  }
  for (const { name } of [...old.attributes]) if (!made.hasAttribute(name)) old.removeAttribute(name)
  for (const { name, value } of made.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value)
  const children = [...made.childNodes]
  for (const [place, child] of children.entries())
    if (old.childNodes[place]) patch(old.childNodes[place], child)
    else old.append(child)
  while (old.childNodes.length > children.length) old.lastChild.remove()
}

const SHEETS = ["./cloud_storage.css", "./cloud_tab.css"]
let styles

/** Add the styles of web/ to the page, once; resolves when they are loaded or failed to load. */
export function addStyles() {
  styles ??= Promise.all(
    SHEETS.map(
      (name) =>
        new Promise((resolve) => {
          const href = new URL(name, import.meta.url).href
          document.head.append(element("link", { rel: "stylesheet", href, load: resolve, error: resolve }))
        }),
    ),
  )
  return styles
}

/** Fill `path` with a button for `top` and for each folder of `folder`, "a/b/"; `enter(folder)` is what each does. */
export function showPath(path, folder, top, enter) {
  const names = folder.split("/").slice(0, -1)
  const steps = [top, ...names].map((name, depth) =>
    element(
      "button",
      {
        type: "button",
        class: "cs-step",
        "aria-current": depth === names.length ? "location" : undefined,
        click: () => enter(names.slice(0, depth).map((each) => `${each}/`).join("")),
      },
      name || "/",
    ),
  )
  path.replaceChildren(...steps)
  path.scrollLeft = path.scrollWidth
}

/** Copy `text` to the clipboard; pages over plain http may not use navigator.clipboard, so there is a fallback. */
export async function copy(text) {
  if (navigator.clipboard && window.isSecureContext) return navigator.clipboard.writeText(text)
  const area = element("textarea", { readonly: true, class: "cs-offscreen" })
  area.value = text
  const focused = document.activeElement
  const place = focused?.closest("dialog") ?? document.body // a modal dialog lets nothing outside it be selected
  place.append(area)
  area.select()
  document.execCommand("copy")
  area.remove()
  focused?.focus()
}

const UNITS = ["B", "kB", "MB", "GB", "TB"]

/** "1.2 MB" for a number of bytes. */
export function sizeOf(bytes, locale) {
  let unit = 0
  let value = bytes
  while (value >= 1000 && unit < UNITS.length - 1) {
    value /= 1000
    unit++
  }
  return `${new Intl.NumberFormat(locale, { maximumFractionDigits: 1 }).format(value)} ${UNITS[unit]}`
}

/** A time of the server's, in ISO 8601, as people write it; "" for none. */
export function dateOf(time, locale) {
  return time ? new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "short" }).format(new Date(time)) : ""
}
