/**
 * The content of the sidebar's tab "Cloud": one panel at a time, chosen by a row of tabs.
 *
 * Does not use ComfyUI. The element is made once, and shown again each time that the sidebar opens the tab. A panel is
 * an object with `open(place)`, which shows it in an element of its own, `close()`, after which it asks nothing, and,
 * for the header, `tools`, a list of buttons.
 */

import { button, element, icon } from "./dom.js"
import { SidebarPlace, keepKeys } from "./sidebar_place.js"

const MOVES = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }

let numbered = 0 // makes the ids of elements unique

export class CloudTab {
  /**
   * `panels` are `{id, name, panel}` in their order; `look` is the class of the frontend's own design. `leave()` closes
   * the sidebar, where its own tabs have a button for that.
   */
  constructor({ say, panels, look = "", leave }) {
    this.panels = panels
    this.shown = panels[0]
    const title = `cs-cloud-${++numbered}`
    this.tabs = new Map(panels.map((one) => [one.id, this.tabOf(one)]))
    this.list = element(
      "div",
      { class: "cs-tabs", role: "tablist", "aria-labelledby": title, keydown: (event) => this.onKey(event) },
      ...this.tabs.values(),
    )
    this.tools = element("div", { class: "cs-cloud-tools" })
    const label = say("close")
    const leaving = leave ? [button(icon("cross"), leave, "cs-bare", { "aria-label": label, title: label })] : []
    this.body = element("div", { class: "cs-cloud-panel", role: "tabpanel", id: `cs-panel-${numbered}` })
    this.element = element(
      "section",
      { class: `cs-cloud ${look}`.trim(), "aria-labelledby": title },
      element("header", {}, element("h2", { id: title }, say("cloud_title")), this.tools, ...leaving),
      this.list,
      this.body,
    )
    keepKeys(this.element)
    this.place = new SidebarPlace(this.element, () => this.close())
  }

  tabOf(one) {
    return element(
      "button",
      {
        type: "button",
        class: "cs-tab",
        role: "tab",
        id: `cs-tab-${one.id}-${numbered}`,
        "aria-controls": `cs-panel-${numbered}`,
        click: () => this.show(one.id),
      },
      element("span", {}, one.name),
    )
  }

  /** Show the tab in `place`, in which nothing else is left. */
  open(place) {
    if (!this.place.take(place)) return
    this.show(this.shown.id)
  }

  close() {
    if (!this.place.leave()) return
    this.shown.panel.close()
  }

  /** Show one of the panels; it is shown first when the tab is opened the next time. */
  show(id) {
    const next = this.panels.find((one) => one.id === id)
    if (!next) return
    if (next !== this.shown) this.shown.panel.close()
    this.shown = next
    for (const [name, tab] of this.tabs) {
      tab.setAttribute("aria-selected", String(name === id))
      tab.tabIndex = name === id ? 0 : -1
    }
    this.body.setAttribute("aria-labelledby", this.tabs.get(id).id)
    this.tools.replaceChildren(...(next.panel.tools ?? []))
    if (this.place.isTaken) next.panel.open(this.body)
  }

  /** Show a number at a tab; 0 for none. `text` says what it counts. */
  count(id, number, text) {
    const tab = this.tabs.get(id)
    tab.querySelector(".cs-count")?.remove()
    if (number) tab.append(element("span", { class: "cs-count", title: text, "aria-label": text }, String(number)))
  }

  onKey(event) {
    if (!(event.key in MOVES) || event.ctrlKey || event.metaKey || event.altKey) return
    event.preventDefault()
    const now = this.panels.indexOf(this.shown)
    const next = this.panels[Math.min(this.panels.length - 1, Math.max(0, now + MOVES[event.key]))]
    this.show(next.id)
    this.tabs.get(next.id).focus()
  }
}
