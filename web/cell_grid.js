/**
 * A grid of any number of cells of which only those in sight are drawn. All cells have the same size. It is used by
 * keyboard as a listbox with several columns: one cell has the focus, any number are selected.
 */

import { element } from "./dom.js"

const ROWS_BEYOND = 2 // drawn above and below what is in sight
const MOST_PIXELS = 8_000_000 // of an element's height: browsers ignore what is higher

export class CellGrid {
  /**
   * `scroller` is the element that scrolls. Cells are at least `width` wide and `height` high, in pixels.
   * `entryAt(place)` is the entry of a number, undefined if it is not here yet. `draw(entry)` returns the children of
   * its cell and its attributes as `[children, attributes]`. `on` has `open(place)`, `select(place, how)` with how
   * "only", "toggle", "range" or "focus", `all()`, `clear()`, `up()`, `typed(letter)`, `drag(event, place)` and
   * `menu(event, place)`.
   */
  constructor({ scroller, width, height, label, entryAt, draw, isSelected, on }) {
    Object.assign(this, { scroller, width, height, entryAt, draw, isSelected, on })
    this.count = 0
    this.columns = 1
    this.focused = 0
    this.cells = new Map() // by number
    this.element = element("div", {
      class: "cs-grid",
      role: "listbox",
      "aria-multiselectable": "true",
      "aria-label": label,
      keydown: (event) => this.onKey(event),
    })
    scroller.addEventListener("scroll", () => this.drawVisible(), { passive: true })
    this.observer = new ResizeObserver(() => this.drawVisible())
  }

  watch() {
    this.observer.observe(this.scroller)
    this.redraw()
  }

  rest() {
    this.observer.disconnect()
  }

  show(count) {
    this.count = count
    this.focused = Math.max(0, Math.min(this.focused, count - 1))
    this.redraw()
  }

  redraw() {
    this.drawVisible(true)
  }

  get rows() {
    return Math.ceil(this.count / this.columns)
  }

  /** The first cell in sight. */
  get first() {
    return Math.min(Math.max(0, this.count - 1), Math.floor(this.scroller.scrollTop / this.height) * this.columns)
  }

  drawVisible(isAnew = false) {
    const { scroller, height } = this
    this.columns = Math.max(1, Math.floor(scroller.clientWidth / this.width))
    this.element.style.height = `${Math.min(MOST_PIXELS, this.rows * height)}px`
    const above = Math.max(0, Math.floor(scroller.scrollTop / height) - ROWS_BEYOND)
    const inSight = Math.ceil(scroller.clientHeight / height) + 2 * ROWS_BEYOND
    const first = Math.min(above, Math.max(0, this.rows - inSight)) * this.columns
    const last = Math.min(this.count, first + inSight * this.columns)
    const wanted = new Set(Array.from({ length: Math.max(0, last - first) }, (_, step) => first + step))
    if (this.count) wanted.add(this.focused) // keeps the focus when it is scrolled out of sight
    for (const [place, cell] of this.cells)
      if (!wanted.has(place)) {
        cell.remove()
        this.cells.delete(place)
      }
    for (const place of [...wanted].sort((one, other) => one - other)) this.drawCell(place, isAnew)
  }

  drawCell(place, isAnew) {
    let cell = this.cells.get(place)
    const entry = this.entryAt(place)
    const isNew = !cell
    if (isNew) {
      cell = this.made(place)
      this.cells.set(place, cell)
    }
    const style = `left: ${((place % this.columns) * 100) / this.columns}%; width: ${100 / this.columns}%; `
    cell.style.cssText = `${style}top: ${Math.floor(place / this.columns) * this.height}px; height: ${this.height}px`
    cell.setAttribute("aria-setsize", this.count)
    cell.setAttribute("aria-selected", String(Boolean(entry && this.isSelected(entry))))
    cell.tabIndex = place === this.focused ? 0 : -1
    if (isNew || cell.csKey !== entry?.key || (isAnew && cell.csEntry !== entry)) {
      const [children, attributes] = entry ? this.draw(entry) : [[], { "aria-busy": "true" }]
      cell.removeAttribute("aria-busy")
      for (const [name, value] of Object.entries(attributes)) cell.setAttribute(name, value)
      cell.replaceChildren(...children)
      Object.assign(cell, { csKey: entry?.key, csEntry: entry })
    }
    if (isNew) this.insert(cell, place)
  }

  /** In the order of their numbers, for those who read the page by its elements. */
  insert(cell, place) {
    const next = [...this.element.children].find((other) => other.csPlace > place)
    this.element.insertBefore(cell, next ?? null)
  }

  made(place) {
    const cell = element("div", {
      class: "cs-cell",
      role: "option",
      draggable: "true",
      "aria-posinset": place + 1,
      click: (event) => {
        const how = event.shiftKey ? "range" : event.ctrlKey || event.metaKey ? "toggle" : "only"
        this.focus(place, how)
      },
      dblclick: () => this.on.open(place),
      dragstart: (event) => this.on.drag(event, place),
      contextmenu: (event) => this.on.menu(event, place),
    })
    cell.csPlace = place
    return cell
  }

  /** Give a cell the focus, scroll to it, and select it as `how` says. */
  focus(place, how) {
    if (!this.count) return
    this.focused = Math.max(0, Math.min(place, this.count - 1))
    this.scrollTo(this.focused)
    this.drawVisible()
    this.cells.get(this.focused).focus({ preventScroll: true })
    this.on.select(this.focused, how)
  }

  scrollTo(place) {
    const top = Math.floor(place / this.columns) * this.height
    const below = top + this.height - this.scroller.clientHeight
    if (this.scroller.scrollTop > top) this.scroller.scrollTop = top
    else if (this.scroller.scrollTop < below) this.scroller.scrollTop = below
  }

  onKey(event) {
    const { key, shiftKey } = event
    const isControl = event.ctrlKey || event.metaKey
    if (event.altKey || event.isComposing) return
    const page = Math.max(1, Math.floor(this.scroller.clientHeight / this.height)) * this.columns
    const moves = {
      ArrowRight: 1,
      ArrowLeft: -1,
      ArrowDown: this.columns,
      ArrowUp: -this.columns,
      PageDown: page,
      PageUp: -page,
      Home: -Infinity,
      End: Infinity,
    }
    if (key in moves) {
      const next = Math.max(0, Math.min(this.count - 1, this.focused + moves[key]))
      this.focus(next, shiftKey ? "range" : isControl ? "focus" : "only")
    } else if (isControl && key.toLowerCase() === "a") {
      this.on.all()
      event.stopPropagation() // ComfyUI would select all nodes
    } else if (isControl) return
    else if (key === " ") this.on.select(this.focused, "toggle")
    else if (key === "Enter") this.on.open(this.focused)
    else if (key === "Escape") this.on.clear()
    else if (key === "Backspace") this.on.up()
    else if (key.length === 1) return this.on.typed(key)
    else return
    event.preventDefault()
  }
}
