/**
 * A grid, or a list in one column, of any number of cells of which only those in sight are drawn. All cells have the
 * same size. It is used by keyboard as a listbox: at most one cell has the focus, and at first none has.
 */

import { element } from "./dom.js"

const ROWS_BEYOND = 2 // drawn above and below what is in sight
const MOST_PIXELS = 5_000_000 // of an element's height: browsers ignore what is higher, some of them less when zoomed
const NONE = -1

export class CellGrid {
  /**
   * `scroller` is the element that scrolls. `entryAt(place)` is the entry of a number, undefined if it is not here yet.
   * `draw(entry)` returns the children of its cell and its attributes as `[children, attributes]`. `on` has
   * `open(place)`, `select(place, how)` with how "only", "toggle", "range" or "focus", `up()`, `typed()`, and, if it
   * `isMultiple`, `all()` and `clear()`; and, each if it is used, `click(place)`, `enter(place)` and
   * `drag(event, place)`.
   */
  constructor({ scroller, label, isMultiple, entryAt, draw, isSelected, on }) {
    Object.assign(this, { scroller, isMultiple, entryAt, draw, isSelected, on })
    this.count = 0
    this.columns = 1
    this.focused = NONE
    this.cells = new Map() // by number
    this.element = element("div", {
      class: "cs-grid",
      role: "listbox",
      "aria-multiselectable": isMultiple && "true",
      "aria-label": label,
      keydown: (event) => this.onKey(event),
    })
    scroller.addEventListener("scroll", () => this.drawVisible(), { passive: true })
    this.observer = new ResizeObserver(() => this.drawVisible())
  }

  /** Cells are at least `width` wide and `height` high, in pixels; without a width there is one column. */
  layOut({ width, height }) {
    Object.assign(this, { width, height })
    for (const cell of this.cells.values()) cell.remove()
    this.cells.clear()
    this.redraw()
    if (this.focused !== NONE) this.scrollTo(this.focused)
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
    this.focused = Math.min(this.focused, count - 1)
    this.redraw()
  }

  redraw() {
    this.drawVisible(true)
  }

  get rows() {
    return Math.ceil(this.count / this.columns)
  }

  /** How far it is scrolled, in pixels of a list that may be higher than an element can be. */
  get top() {
    return this.scroller.scrollTop * this.stretch
  }

  set top(pixels) {
    this.scroller.scrollTop = pixels / this.stretch
  }

  /** The first cell in sight. */
  get first() {
    return Math.min(Math.max(0, this.count - 1), Math.floor(this.top / this.height) * this.columns)
  }

  drawVisible(isAnew = false) {
    const { scroller, height } = this
    const room = scroller.clientHeight
    this.columns = this.width ? Math.max(1, Math.floor(scroller.clientWidth / this.width)) : 1
    const whole = this.rows * height
    const shown = Math.min(MOST_PIXELS, whole)
    this.stretch = shown < whole ? (whole - room) / (shown - room) : 1
    this.element.style.height = `${shown}px`
    const above = Math.max(0, Math.floor(this.top / height) - ROWS_BEYOND)
    const inSight = Math.ceil(room / height) + 2 * ROWS_BEYOND
    const first = Math.min(above, Math.max(0, this.rows - inSight)) * this.columns
    const last = Math.min(this.count, first + inSight * this.columns)
    const wanted = new Set(Array.from({ length: Math.max(0, last - first) }, (_, step) => first + step))
    if (this.focused !== NONE) wanted.add(this.focused) // keeps the focus when it is scrolled out of sight
    this.element.tabIndex = this.focused === NONE ? 0 : -1
    for (const [place, cell] of this.cells)
      if (!wanted.has(place)) {
        if (cell === document.activeElement) this.element.focus({ preventScroll: true })
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
    const top = Math.floor(place / this.columns) * this.height - this.top + this.scroller.scrollTop
    const style = `left: ${((place % this.columns) * 100) / this.columns}%; width: ${100 / this.columns}%; `
    cell.style.cssText = `${style}top: ${top}px; height: ${this.height}px`
    cell.setAttribute("aria-setsize", this.count)
    cell.setAttribute("aria-selected", String(Boolean(entry && this.isSelected(entry))))
    cell.tabIndex = place === this.focused ? 0 : -1
    if (isNew || cell.csKey !== entry?.key || (isAnew && cell.csEntry !== entry)) {
      const [children, attributes] = entry ? this.draw(entry) : [[], { class: "cs-cell", "aria-busy": "true" }]
      for (const name of ["aria-busy", "aria-disabled", "title"]) cell.removeAttribute(name)
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
      role: "option",
      draggable: this.on.drag && "true",
      "aria-posinset": place + 1,
      click: (event) => {
        this.clickedBefore = this.clicked // a double click counts only if both clicks were on the same entry
        this.clicked = cell.csKey
        this.focus(place, this.how(event, "toggle"))
        this.on.click?.(place)
      },
      dblclick: () => this.clicked === cell.csKey && this.clickedBefore === cell.csKey && this.on.open(place),
      dragstart: (event) => this.on.drag(event, place),
      contextmenu: (event) => {
        event.preventDefault()
        if (cell.getAttribute("aria-selected") !== "true") this.focus(place, "only")
      },
    })
    cell.csPlace = place
    return cell
  }

  how({ shiftKey, ctrlKey, metaKey }, withControl) {
    if (!this.isMultiple) return "only"
    return shiftKey ? "range" : ctrlKey || metaKey ? withControl : "only"
  }

  /** Give a cell the focus, scroll to it, and select it as `how` says. */
  focus(place, how) {
    if (!this.count) return
    this.mark(place, how)
    this.cells.get(this.focused).focus({ preventScroll: true })
  }

  /** The same, but what has the page's focus beside the grid keeps it. */
  mark(place, how) {
    this.focused = Math.max(0, Math.min(place, this.count - 1))
    this.scrollTo(this.focused)
    this.drawVisible()
    if (document.activeElement === this.element) this.cells.get(this.focused).focus({ preventScroll: true })
    this.on.select(this.focused, how)
  }

  /** The entry with the focus has another number now; null if it is gone. */
  follow(place) {
    const had = this.element.contains(document.activeElement)
    this.focused = place ?? NONE
    this.drawVisible()
    if (had) (this.cells.get(this.focused) ?? this.element).focus({ preventScroll: true })
  }

  scrollTo(place) {
    const top = Math.floor(place / this.columns) * this.height
    const below = top + this.height - this.scroller.clientHeight
    if (this.top > top) this.top = top
    else if (this.top < below) this.top = below
  }

  onKey(event) {
    const { key } = event
    const isControl = event.ctrlKey || event.metaKey
    if (event.altKey || event.isComposing || (isControl && !this.isMultiple)) return
    const page = Math.max(1, Math.floor(this.scroller.clientHeight / this.height) - (this.width ? 0 : 1))
    const moves = {
      ...(this.width && { ArrowRight: 1, ArrowLeft: -1 }),
      ArrowDown: this.columns,
      ArrowUp: -this.columns,
      PageDown: page * this.columns,
      PageUp: -page * this.columns,
      Home: -Infinity,
      End: Infinity,
    }
    const isMarked = this.focused !== NONE
    if (key in moves) {
      const begin = isMarked ? this.focused : moves[key] > 0 ? -moves[key] : 0 // the first key marks the first one
      const next = isMarked || Number.isFinite(moves[key]) ? begin + moves[key] : moves[key]
      this.focus(next, this.how(event, "focus"))
    } else if (isControl && key.toLowerCase() === "a") {
      this.on.all()
      event.stopPropagation() // ComfyUI would select all nodes
    } else if (isControl) return
    else if (key === " ") isMarked && this.on.select(this.focused, this.isMultiple ? "toggle" : "only")
    else if (key === "Enter") isMarked && this.on.open(this.focused)
    else if (key === "ArrowRight") isMarked && this.on.enter?.(this.focused)
    else if (key === "Backspace" || key === "ArrowLeft") this.on.up()
    else if (key === "Escape" && this.isMultiple) this.on.clear()
    else if (key.length === 1 || key === "Process") return this.on.typed()
    else return
    event.preventDefault()
  }
}
