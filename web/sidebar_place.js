/**
 * The place that a sidebar gives to an element of ours, until somebody else takes it. Does not use ComfyUI.
 */

import { addStyles } from "./dom.js"

// ComfyUI listens to shortcuts and pastes on the whole page.
const HEARD = ["keydown", "keyup", "keypress", "copy", "cut", "paste", "wheel", "contextmenu"]

/** Keep what happens in an element from the page, except shortcuts with Ctrl. */
export function keepKeys(element) {
  for (const event of HEARD)
    element.addEventListener(event, (happened) => {
      if (!(happened.ctrlKey || happened.metaKey) || event !== "keydown") happened.stopPropagation()
    })
}

/** Shows an element in a place, in which nothing else is left. `lost` is called once somebody else uses the place. */
export class SidebarPlace {
  constructor(element, lost) {
    Object.assign(this, { element, lost })
  }

  get isTaken() {
    return Boolean(this.taken)
  }

  /** Returns false if the element is there already. */
  take(place) {
    addStyles()
    if (this.taken === place && this.element.parentNode === place) return false
    this.lost()
    this.taken = place
    place.classList.add("cs-place")
    place.replaceChildren(this.element)
    // Frontends give the same place to the tab of another extension, without closing this one.
    this.guard = new MutationObserver(() => {
      const others = [...place.childNodes].some((node) => node !== this.element)
      if (others || this.element.parentNode !== place) this.lost()
    })
    this.guard.observe(place, { childList: true })
    return true
  }

  /** Returns false if the element was nowhere. */
  leave() {
    if (!this.taken) return false
    this.guard.disconnect()
    this.taken.classList.remove("cs-place")
    if (this.element.parentNode === this.taken) this.element.remove()
    this.taken = undefined
    return true
  }
}
