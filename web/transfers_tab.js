/**
 * The panel Transfers of the tab Cloud: downloads of models, files that wait to be uploaded, and the mirror, each with
 * the reason of what went wrong. Draws what transfers.js knows, and does not use ComfyUI.
 */

import { addStyles, button, dateOf, element, icon, patch, sizeOf } from "./dom.js"
import { isBusy } from "./model_library.js"
import { profileText } from "./profile_choice.js"

export class TransfersTab {
  /** `library` is a ModelLibrary, `transfers` a Transfers. */
  constructor({ library, transfers, say, locale }) {
    Object.assign(this, { library, transfers, say, locale })
    this.notice = element("div", { class: "cs-models-notice", role: "alert" })
    this.body = element("div", { class: "cs-transfers-body" })
    const attributes = { class: "cs-models", "aria-label": say("cloud_transfers") }
    this.element = element("section", attributes, this.notice, this.body)
  }

  open(place) {
    addStyles()
    this.place = place
    place.replaceChildren(this.element)
    this.transfers.watch()
    this.library.look()
    this.draw()
  }

  close() {
    if (!this.place) return
    this.place = undefined
    this.element.remove()
    this.transfers.rest()
  }

  draw() {
    if (!this.place) return
    const { say, transfers } = this
    const text = transfers.error ? say.message(transfers.error) : ""
    if (this.notice.textContent !== text) this.notice.textContent = text
    const sections = [...this.downloads(), ...this.uploads(), ...this.mirror()]
    const made = element("div", {}, ...(sections.length ? sections : [this.nothing()]))
    if (this.shown) patch(this.shown, made)
    else this.body.append((this.shown = made))
  }

  nothing() {
    const { say } = this
    const texts = [element("h3", {}, say("transfers_none")), element("p", {}, say("transfers_none_help"))]
    return element("div", { class: "cs-models-empty", "data-act": "none" }, icon("cloud"), ...texts)
  }

  section(title, detail, tools, rows) {
    const name = this.say(title)
    return element(
      "section",
      { "aria-label": name, "data-act": title },
      element(
        "div",
        { class: "cs-models-heading" },
        element("h3", {}, name),
        element("span", { class: "cs-models-detail" }, detail),
        element("span", { class: "cs-models-tools" }, ...tools),
      ),
      element("ul", { class: "cs-models-list", "aria-label": name }, ...rows),
    )
  }

  row(shape, state, name, details, error, further = []) {
    const texts = [element("span", { class: "cs-model-detail" }, details.filter(Boolean).join(" · "))]
    if (error) texts.push(element("span", { class: "cs-error" }, this.say.message(error)))
    const text = element("div", { class: "cs-model-text" }, element("span", {}, name), ...texts, ...further)
    return element("li", { class: "cs-model", "data-state": state }, icon(shape), text)
  }

  bar(name, done, total) {
    const share = total ? Math.min(1, done / total) : 0
    const made = element("span", { class: "cs-bar", role: "progressbar", "aria-label": name })
    for (const [part, value] of [["min", 0], ["max", 100], ["now", Math.round(100 * share)]])
      made.setAttribute(`aria-value${part}`, value)
    made.append(element("span", { style: `width: ${100 * share}%` }))
    return element("span", { class: "cs-model-progress" }, made)
  }

  downloads() {
    const { locale, say } = this
    const fetches = [...this.library.fetches.values()].filter(({ status }) => status !== "done")
    const rows = fetches.map((one) => {
      const sizes = { done: sizeOf(one.done, locale), total: sizeOf(one.total, locale) }
      const detail = one.status === "waiting" ? say("models_waiting") : say("models_progress", sizes)
      const further = isBusy(one) ? [this.bar(one.name, one.done, one.total)] : []
      return this.row("download", isBusy(one) ? "busy" : "missing", one.name, [one.type, detail], one.error, further)
    })
    return rows.length ? [this.section("transfers_running", "", [], rows)] : []
  }

  uploads() {
    const { say, locale, transfers } = this
    const { waiting = 0, entries = [], unreadable = [], sending, last } = transfers.outbox ?? {}
    if (!waiting && !sending && !last?.lines.length) return []
    const rows = entries.map(({ key, size, profile, bucket, saved, why }) => {
      const details = [sizeOf(size, locale), profileText(say, { name: profile, bucket }), dateOf(saved, locale)]
      return this.row("up", "missing", key, details, why)
    })
    rows.push(...unreadable.map((text) => this.row("missing", "missing", text, [], "")))
    const rest = waiting - rows.length
    if (rest > 0) rows.push(this.row("up", "missing", say("transfers_more", { count: rest }), [], ""))
    const report = (last?.lines ?? []).map((text) => this.row("cloud", "", say.message(text), [], ""))
    const retry = button(say("transfers_retry"), () => transfers.retry(), "cs-primary", { "data-act": "retry" })
    retry.disabled = Boolean(sending)
    const detail = sending ? say("transfers_sending") : waiting ? String(waiting) : ""
    return [this.section("transfers_uploads", detail, waiting ? [retry] : [], [...report, ...rows])]
  }

  mirror() {
    const { say, locale, transfers } = this
    const { on, errors = [], profiles = [] } = transfers.mirror ?? {}
    if (!on && !errors.length) return []
    const rows = errors.map((text) => this.row("missing", "missing", say.message(text), [], ""))
    for (const profile of profiles) {
      const counts = [
        profile.waiting ? say("mirror_waiting", { count: profile.waiting }) : say("mirror_current"),
        profile.stored ? say("mirror_stored", { count: profile.stored }) : "",
      ]
      const state = profile.failing ? "missing" : "here"
      rows.push(this.row("cloud", state, profileText(say, profile), counts, profile.error))
      for (const { name: folder, note } of profile.folders ?? [])
        if (note) rows.push(this.row("folder", "missing", folder, [], note))
      for (const file of profile.files ?? []) {
        const isSending = file.status === "sending"
        const further = isSending ? [this.bar(file.name, file.done, file.size)] : []
        rows.push(this.row("up", isSending ? "busy" : "", file.name, [sizeOf(file.size, locale)], file.error, further))
      }
    }
    const retry = button(say("retry"), () => transfers.retryMirror(), "", { "data-act": "retry" })
    return [this.section("transfers_mirror", "", transfers.mirror?.failing ? [retry] : [], rows)]
  }
}
