/**
 * A list of any length of which only the rows in sight are drawn. All rows have the same height. It is part of a larger
 * element that scrolls, and is used by keyboard as a listbox.
 */

import { element, patch } from "./dom.js"

const ROWS_BEYOND = 6 // drawn above and below what is in sight

let numbered = 0 // makes the ids of elements unique

export class RowList {
  /**
   * `scroller` is the element that scrolls, `rowHeight` in pixels. `draw(item)` returns the children of a row and its
   * attributes as `[children, attributes]`; `keyOf(item)` is a text that no other item has. `use(item)` is called for
   * Enter and a double click. A row has its item as `csItem`.
   */
  constructor({ scroller, rowHeight, label, draw, keyOf, use }) {
    Object.assign(this, { scroller, rowHeight, draw, keyOf, use })
    this.id = `cs-rows-${++numbered}`
    this.items = []
    this.drawn = new Map() // rows by the key of their item
    this.element = element("ul", {
      class: "cs-rows",
      role: "listbox",
      tabindex: "0",
      "aria-label": label,
      keydown: (event) => this.onKey(event),
      focus: () => this.marked === undefined && this.items.length && this.mark(0),
    })
    this.update = () => this.drawVisible()
    scroller.addEventListener("scroll", this.update, { passive: true })
    this.observer = new ResizeObserver(this.update) // the sidebar is as wide and high as the user makes it
  }

  /** Watch the size of what scrolls; until `rest`. */
  watch() {
    this.observer.observe(this.scroller)
    this.drawVisible()
  }

  rest() {
    this.observer.disconnect()
  }

  /** Show other items; the marked one stays marked if it is among them. */
  show(items) {
    this.items = items
    const place = this.marked === undefined ? -1 : items.findIndex((item) => this.keyOf(item) === this.marked)
    if (place < 0) this.marked = undefined
    this.redraw()
  }

  /** Draw the rows in sight again, as their items have changed. */
  redraw() {
    this.element.style.height = `${this.items.length * this.rowHeight}px`
    this.drawVisible(true)
  }

  drawVisible(isAnew = false) {
    const above = this.element.getBoundingClientRect().top - this.scroller.getBoundingClientRect().top
    const first = Math.max(0, Math.floor(-above / this.rowHeight) - ROWS_BEYOND)
    const count = Math.ceil(this.scroller.clientHeight / this.rowHeight) + 2 * ROWS_BEYOND
    const last = Math.min(this.items.length, first + count)
    const rows = new Map()
    for (let place = first; place < last; place++) {
      const item = this.items[place]
      const key = this.keyOf(item)
      const old = this.drawn.get(key)
      if (old && isAnew) {
        patch(old, this.row(item, place))
        old.csItem = item
      }
      rows.set(key, old ?? this.row(item, place))
    }
    for (const [key, row] of this.drawn) if (!rows.has(key)) row.remove()
    for (const row of rows.values()) if (!row.isConnected) this.element.append(row)
    this.drawn = rows
    const active = this.drawn.get(this.marked)
    if (active) this.element.setAttribute("aria-activedescendant", active.id)
    else this.element.removeAttribute("aria-activedescendant")
  }

  row(item, place) {
    const [children, attributes] = this.draw(item)
    const key = this.keyOf(item)
    const row = element(
      "li",
      {
        ...attributes,
        class: "cs-model cs-fixed",
        id: `${this.id}-${place}`,
        role: "option",
        style: `top: ${place * this.rowHeight}px; height: ${this.rowHeight}px`,
        "aria-setsize": this.items.length,
        "aria-posinset": place + 1,
        "aria-selected": key === this.marked ? "true" : "false",
        click: () => this.mark(this.items.indexOf(row.csItem)),
        dblclick: () => this.use(row.csItem),
      },
      ...children,
    )
    row.csItem = item
    return row
  }

  /** Mark the item at a place, and scroll to it. */
  mark(place) {
    if (place < 0) return
    this.drawn.get(this.marked)?.setAttribute("aria-selected", "false")
    this.marked = this.keyOf(this.items[place])
    this.scrollTo(place)
    this.drawVisible()
    this.drawn.get(this.marked)?.setAttribute("aria-selected", "true")
  }

  scrollTo(place) {
    const outer = this.scroller.getBoundingClientRect()
    const top = this.element.getBoundingClientRect().top + place * this.rowHeight - outer.top
    const below = top + this.rowHeight - this.scroller.clientHeight
    if (top < 0) this.scroller.scrollTop += top
    else if (below > 0) this.scroller.scrollTop += below
  }

  onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || !this.items.length) return
    const rows = Math.max(1, Math.floor(this.scroller.clientHeight / this.rowHeight) - 1)
    const moves = { ArrowDown: 1, ArrowUp: -1, PageDown: rows, PageUp: -rows, Home: -Infinity, End: Infinity }
    const now = this.items.findIndex((item) => this.keyOf(item) === this.marked)
    if (event.key in moves) this.mark(Math.min(this.items.length - 1, Math.max(0, now + moves[event.key])))
    else if (event.key === "Enter" && now >= 0) this.use(this.items[now])
    else return
    event.preventDefault()
  }
}
