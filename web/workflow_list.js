/**
 * The workflows of a bucket as a list with a choice of the profile, for the dialogs of workflow_dialogs.js.
 */

import { dateOf, element, icon } from "./dom.js"
import { ProfileChoice } from "./profile_choice.js"
import { RowList } from "./row_list.js"

const ROW_PIXELS = 44

export class WorkflowList {
  /**
   * `server` is the object of api.js. `on` has `pick(row)`, for a click and the arrow keys, `use(row)`, for Enter and a
   * double click, and `shown()`, after the list has changed. A row is `{name, key, etag, modified, size}`.
   */
  constructor({ server, say, locale, on }) {
    Object.assign(this, { server, say, locale, on, rows: [], words: [], answer: null })
    this.choice = new ProfileChoice({ server, say, changed: () => this.load() })
    this.note = element("p", { class: "cs-note" })
    this.scroller = element("div", { class: "cs-workflow-rows" })
    this.list = new RowList({
      scroller: this.scroller,
      rowHeight: ROW_PIXELS,
      label: say("workflow_list"),
      keyOf: ({ name }) => name,
      draw: (row) => this.drawn(row),
      use: (row) => on.use(row),
    })
    const pick = () => this.marked && on.pick(this.marked)
    for (const event of ["click", "keyup"]) this.list.element.addEventListener(event, pick)
    this.scroller.append(this.list.element, this.note)
  }

  /** Ask for the profiles and list `wanted`, or the one that is used by default. `known` ends when they are there. */
  start(wanted) {
    this.list.watch()
    this.tell(this.say("loading"))
    this.known = this.ask(wanted)
  }

  /** Never rejects. */
  async ask(wanted) {
    try {
      const error = await this.choice.ask(wanted)
      if (error) this.tell(this.say.message(error), "cs-error")
      else this.load()
    } catch (error) {
      this.tell(error.message, "cs-error")
    }
  }

  close() {
    this.request?.abort()
    this.list.rest()
  }

  /** List the workflows of the chosen profile again. Never rejects. */
  async load() {
    this.request?.abort()
    const { signal } = (this.request = new AbortController())
    Object.assign(this, { rows: [], answer: null })
    this.show()
    this.tell(this.say("loading"))
    try {
      this.answer = await this.server.workflows.list({ profile: this.choice.value }, signal)
      this.rows = this.answer.workflows
      this.show()
    } catch (error) {
      if (!signal.aborted) this.tell(error.message, "cs-error")
    }
    if (!signal.aborted) this.on.shown()
  }

  /** The marked row; undefined for none. */
  get marked() {
    return this.rows.find(({ name }) => name === this.list.marked)
  }

  named(name) {
    return this.rows.find((row) => row.name === name)
  }

  /** Show only rows whose name has all words of a text. */
  filter(text) {
    this.words = text.toLowerCase().split(/\s+/).filter(Boolean)
    this.show()
  }

  show() {
    const shown = this.rows.filter(({ name }) => this.words.every((word) => name.toLowerCase().includes(word)))
    this.list.show(shown)
    if (!this.answer) return
    const { complete } = this.answer
    if (!complete) this.tell(this.say("workflow_more", { count: this.rows.length }))
    else this.tell(shown.length ? "" : this.say(this.rows.length ? "nothing_found" : "workflow_none"))
  }

  tell(text, look = "") {
    this.note.className = `cs-note ${look}`.trim()
    this.note.textContent = text
  }

  drawn({ name, modified }) {
    const text = element(
      "span",
      { class: "cs-model-text" },
      element("span", {}, name),
      element("span", { class: "cs-model-detail" }, dateOf(modified, this.locale)),
    )
    return [[icon("file"), text], { title: name }]
  }
}
