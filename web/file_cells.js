/**
 * How an entry of a list of files looks: as a cell of a grid, or as a row. Does not use ComfyUI.
 */

import { dateOf, element, icon, sizeOf } from "./dom.js"
import { mayHaveOne } from "./thumbnails.js"

// The last characters of a long name that stay visible: a number and the extension
const NAME_END = 22
const NARROW_END = 10
const LEAST_BEGIN = 3 // fewer letters before them have no room for an ellipsis

/** The sizes of both, in pixels; a row is as wide as the list. */
export const LAYOUTS = { grid: { width: 96, height: 118 }, rows: { width: 0, height: 54 } }

export function isFolder(entry) {
  return entry.key.endsWith("/")
}

/** "1,234 files", in the user's language. */
export function filesText(say, locale, count) {
  return say(count === 1 ? "files_one" : "files_count", { count: new Intl.NumberFormat(locale).format(count) })
}

/**
 * The children and the attributes of a cell, `[children, attributes]`, of an entry below `folder`. `pictures` are
 * Thumbnails.
 */
export function cellOf(entry, { layout, folder, say, locale, pictures }) {
  const name = entry.key.slice(folder.length).replace(/\/$/, "") || "/"
  const date = dateOf(entry.modified, locale)
  const detail = !isFolder(entry)
    ? sizeOf(entry.size, locale)
    : typeof entry.count === "number"
      ? filesText(say, locale, entry.count)
      : ""
  const small = element("span", { class: "cs-thumb" }, icon(isFolder(entry) ? "folder" : "file"))
  const pictured = entry.preview ?? entry
  if (!isFolder(entry) && mayHaveOne(pictured)) pictures.offer(small, pictured)
  else if (!isFolder(entry)) small.append(element("span", { class: "cs-ending" }, endingOf(name)))
  const kind = isFolder(entry) ? [element("span", { class: "cs-unseen" }, say("folder"))] : []
  const title = [entry.key, detail, date].filter(Boolean).join("\n")
  if (layout === "grid") {
    const last = nameOf(name.split("/").at(-1), entry.key, NARROW_END)
    return [[small, last, ...kind, element("span", { class: "cs-cell-detail" }, detail)], { class: "cs-cell", title }]
  }
  const cells = [small, nameOf(name, entry.key), ...kind]
  if (detail) cells.push(element("span", { class: "cs-size" }, detail), element("span", { class: "cs-date" }, date))
  return [cells, { class: "cs-cell cs-row", title }]
}

/** An element with a key or a part of one; if there is too little room, its end stays visible. */
export function nameOf(name, key, end = NAME_END) {
  const letters = [...name]
  const parts = [letters.slice(0, -end).join(""), letters.slice(-end).join("")]
  const pieces = letters.length >= end + LEAST_BEGIN ? parts.map((part) => element("span", {}, part)) : [name]
  return element("span", { class: "cs-name", title: key }, ...pieces)
}

function endingOf(name) {
  const ending = /\.([^./]{1,12})$/.exec(name)?.[1] ?? ""
  return ending.toUpperCase()
}
