/**
 * Translates messages of the server into Chinese, by the templates of messages_zh.js.
 *
 * A message is one template, or several one after another; what fills a hole of a template may be a message too. Text
 * that fits no template is not changed: keys, names, another server's words. Regular expressions are not used for it: a
 * message may contain anything, at any length. Each template is searched for once, from left to right.
 */

import { MESSAGES } from "./messages_zh.js"

const HOLE = "{}"
const MAX_DEPTH = 5 // of messages within messages
const MAX_CHARACTERS = 4000 // a longer one contains what a server sent
const SENTENCE_END = /[.!?] [A-Z]/ // in a hole it means that the text is probably two messages
const BEGINS = 1000 // added to the weight of a template that begins with words
const MAX_STEPS = 20_000 // templates tried for one message
const TRIED = /^([✓✗] \S+ +)(.*?)(, \d+ ms)?$/s // a line of a connection test: what was tried, and the result
const LABELLED = "  " // ends a label; the text after it is a message of its own

/** Translate `message` as far as there are templates for it. */
export function inChinese(message) {
  const text = String(message)
  if (text.length > MAX_CHARACTERS || /^https?:\/\//.test(text)) return text
  const [, label = "", said = text, time = ""] = TRIED.exec(text) ?? []
  return label + translated(said, { left: MAX_STEPS }, 0) + time.replace(", ", "，")
}

function translated(text, steps, depth) {
  const core = text.trim()
  if (!/[A-Za-z]{2}/.test(core) || depth > MAX_DEPTH) return text
  const places = [core.length, ...ends(core)]
  for (const isWithin of [(filled) => !filled.some((each) => SENTENCE_END.test(each)), () => true]) {
    for (const place of places) {
      const first = fitted(core.slice(0, place), isWithin, steps, depth)
      if (first !== null) return first + translated(core.slice(place).trim(), steps, depth)
    }
  }
  const next = places.at(-1)
  if (next === core.length) return text
  return `${core.slice(0, next)} ${translated(core.slice(next).trim(), steps, depth)}`
}

/** Where sentences may end within a text, the last one first. */
function ends(text) {
  const found = []
  for (let place = text.indexOf(". "); place >= 0; place = text.indexOf(". ", place + 1)) found.unshift(place + 1)
  return found
}

/**
 * Translate a text that is one template from its first to its last character; null if no template fits, or if what
 * would fill its holes is not as wanted.
 */
function fitted(text, isWanted, steps, depth) {
  for (const template of byFirst().get(text[0]) ?? []) {
    if (steps.left-- <= 0) return null
    const filled = parts(template.pieces, text)
    if (!filled || !isWanted(filled.filter((_, hole) => !template.pieces[hole].endsWith(LABELLED)))) continue
    const inner = filled.map((each) => translated(each, steps, depth + 1))
    return template.chinese.replace(/\{(\d+)\}/g, (_, number) => inner[Number(number)] ?? "")
  }
  return null
}

/** What fills the holes of a template; null if it does not fit. */
function parts(pieces, text) {
  const last = pieces.length - 1
  if (last === 0) return text === pieces[0] ? [] : null
  if (!text.startsWith(pieces[0]) || !text.endsWith(pieces[last])) return null
  const found = []
  const end = text.length - pieces[last].length
  let from = pieces[0].length
  for (let number = 1; number < last; number++) {
    const place = text.indexOf(pieces[number], from)
    if (place < 0) return null
    found.push(text.slice(from, place))
    from = place + pieces[number].length
  }
  return from > end ? null : [...found, text.slice(from, end)]
}

let table // templates by the first character of the text that they fit; those with most words come first

function byFirst() {
  if (table) return table
  table = new Map()
  const rows = Object.entries(MESSAGES).filter(([, chinese]) => chinese)
  const all = rows.map(([english, chinese]) => ({ pieces: english.split(HOLE), chinese }))
  // A template that begins with words comes first: the first hole of another one may be filled with half a message.
  const weight = ({ pieces }) => pieces.join("").length + (pieces[0] ? BEGINS : 0)
  all.sort((one, other) => weight(other) - weight(one))
  const anywhere = all.filter(({ pieces }) => !pieces[0])
  for (const first of new Set(all.map(({ pieces }) => pieces[0].slice(0, 1)).filter(Boolean)))
    table.set(first, all.filter(({ pieces }) => !pieces[0] || pieces[0][0] === first))
  table.get = (first) => Map.prototype.get.call(table, first) ?? anywhere
  return table
}
