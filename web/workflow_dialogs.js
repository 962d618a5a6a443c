/**
 * The dialogs that save a workflow to the bucket and open one from it.
 *
 * They reach the server only through the object of api.js, and do not use ComfyUI. A version that the user has not seen
 * is never replaced, unless the user has been told of it and says so: the server gets the ETag of the version that was
 * shown, and refuses if there is another one by then.
 */

import { button, dateOf, element } from "./dom.js"
import { dialogOf, show } from "./dialog.js"
import { WorkflowList } from "./workflow_list.js"

let numbered = 0 // makes the ids of elements unique

/**
 * `content()` is the text of the workflow, `name` is offered, and `version` is what was opened or saved before,
 * `{profile, name, etag}`, if anything was. Resolves with `{saved: {profile, name, etag}, where}`, with
 * `{open: {profile, key}}` for somebody else's version, or with null.
 */
export function saveWorkflow({ server, say, locale, content, name, version }) {
  return new Promise((resolve) => new SaveDialog({ server, say, locale, content, name, version }, resolve))
}

/** Resolves with what the server has read, `{profile, found}`, or with null. */
export function chooseWorkflow({ server, say, locale }) {
  return new Promise((resolve) => new OpenDialog({ server, say, locale }, resolve))
}

/** The frame of both: a field, a choice of the profile, the list, a notice and buttons. */
class WorkflowDialog {
  constructor({ title, field, server, say, locale, on }, resolve) {
    Object.assign(this, { server, say, locale, result: null })
    this.rows = new WorkflowList({ server, say, locale, on: { shown: () => this.drawPlace(), ...on } })
    this.notice = element("div", { class: "cs-workflow-notice", role: "alert" })
    this.footer = element("footer", {})
    this.id = `cs-workflow-${++numbered}`
    this.field = field
    field.id = this.id
    const tools = element("div", { class: "cs-tools" }, this.field, this.rows.choice.element)
    const look = "cs-picker cs-workflows"
    this.dialog = dialogOf({ look, title, close: say("close") }, tools, this.rows.scroller, this.notice, this.footer)
    this.place = this.dialog.querySelector(".cs-where")
    this.dialog.addEventListener("close", () => {
      this.rows.close()
      resolve(this.result)
    })
  }

  start(profile) {
    show(this.dialog)
    this.field.focus()
    this.field.select()
    this.rows.start(profile)
  }

  drawPlace() {
    const { answer } = this.rows
    this.place.textContent = answer ? [answer.bucket, answer.folder].join("/").replace(/\/$/, "") : ""
    this.place.title = this.place.textContent
  }

  end(result) {
    this.result = result
    this.dialog.close()
  }

  /** Show buttons, and a notice above them: texts. */
  ask(texts, buttons) {
    this.notice.replaceChildren(...texts.map((text) => element("p", {}, text)))
    const cancel = button(this.say("cancel"), () => this.dialog.close())
    this.footer.replaceChildren(element("span", { class: "cs-status" }), cancel, ...buttons)
  }

  /** Do something while the buttons wait; what fails is shown. */
  async run(work) {
    if (this.isBusy) return
    this.isBusy = true
    const controls = [...this.footer.querySelectorAll("button"), this.field, this.rows.choice.element]
    for (const each of controls) each.disabled = true
    try {
      await work()
    } catch (error) {
      this.notice.replaceChildren(element("p", { class: "cs-error" }, error.message))
    } finally {
      this.isBusy = false
      for (const each of controls) each.disabled = false
    }
  }
}

class SaveDialog extends WorkflowDialog {
  constructor({ server, say, locale, content, name, version }, resolve) {
    const field = element("input", {
      class: "cs-field cs-workflow-name",
      "aria-label": say("workflow_name"),
      placeholder: say("workflow_name_hint"),
      title: say("workflow_name_hint"),
      spellcheck: "false",
      autocomplete: "off",
      input: () => this.askToSave(),
      keydown: (event) => {
        if (event.key !== "Enter" || event.isComposing) return
        event.preventDefault()
        if (!this.conflict) this.save()
      },
    })
    const take = (row) => {
      if (this.isBusy || field.value === row.name) return
      field.value = row.name
      this.askToSave()
    }
    const on = { pick: take, use: (row) => (take(row), field.focus()) }
    super({ title: say("workflow_save_title"), field, server, say, locale, on }, resolve)
    Object.assign(this, { content, version })
    field.value = version?.name ?? name
    this.rows.choice.element.addEventListener("change", () => this.askToSave())
    this.askToSave()
    this.start(version?.profile)
  }

  askToSave() {
    this.conflict = undefined
    const { answer } = this.rows
    const unsafe = answer && !answer.is_certain ? [this.say("workflow_uncertain")] : []
    this.ask(unsafe, [button(this.say("workflow_save"), () => this.save(), "cs-primary")])
  }

  drawPlace() {
    super.drawPlace()
    if (!this.isBusy && !this.conflict && !this.notice.querySelector(".cs-error")) this.askToSave()
  }

  /** The ETag of the version that the user has seen under this name; "" for none. */
  seen(profile, name) {
    const { version } = this
    return version && version.profile === profile && version.name === name ? version.etag : ""
  }

  /** Save, over the version `replaces` at most. */
  save(replaces) {
    const name = this.field.value.trim()
    return this.run(async () => {
      await this.rows.known // before, nobody knows which profile it is
      const profile = this.rows.choice.value
      const given = { profile, name, content: this.content(), replaces: replaces ?? this.seen(profile, name) }
      const said = await this.server.workflows.save(given)
      if (said.version) {
        const saved = { profile, name: said.name, etag: said.version.etag }
        return this.end({ saved, where: this.place.textContent })
      }
      this.isBusy = false
      this.tellConflict(profile, said, Boolean(given.replaces))
    })
  }

  tellConflict(profile, { name, key, conflict }, wasSeen) {
    const { say, locale } = this
    this.conflict = { conflict }
    if (!conflict) {
      const again = button(say("workflow_save_again"), () => this.save(""), "cs-primary")
      this.ask([say("workflow_deleted", { name })], [again])
      return again.focus()
    }
    const time = dateOf(conflict.modified, locale)
    const saved = conflict.saved_on
      ? say("workflow_saved_on", { machine: conflict.saved_on, time })
      : say("workflow_saved", { time })
    const other = button(say("workflow_save_other"), () => this.offerName(name), "cs-primary")
    const theirs = button(say("workflow_open_theirs"), () => this.end({ open: { profile, key } }))
    const replace = button(say("workflow_replace"), () => this.save(conflict.etag))
    this.ask([say(wasSeen ? "workflow_changed" : "workflow_exists", { name }), saved], [theirs, replace, other])
    other.focus()
  }

  /** Put a name into the field that is free as far as the list tells. */
  offerName(name) {
    let number = 2
    while (this.rows.named(`${name} (${number})`)) number++
    this.field.value = `${name} (${number})`
    this.askToSave()
    this.field.focus()
    this.field.select()
  }
}

class OpenDialog extends WorkflowDialog {
  constructor({ server, say, locale }, resolve) {
    const field = element("input", {
      type: "search",
      class: "cs-field cs-workflow-name",
      placeholder: say("workflow_search"),
      "aria-label": say("workflow_search"),
      spellcheck: "false",
      input: () => {
        this.rows.filter(field.value)
        this.draw()
      },
      keydown: (event) => {
        if (event.isComposing || (event.key !== "ArrowDown" && event.key !== "Enter")) return
        event.preventDefault()
        const { list } = this.rows
        if (event.key === "Enter" && list.items.length === 1) return this.open(list.items[0])
        list.element.focus()
      },
    })
    const on = { pick: () => this.draw(), use: (row) => this.open(row), shown: () => (this.drawPlace(), this.draw()) }
    super({ title: say("workflow_open_title"), field, server, say, locale, on }, resolve)
    this.draw()
    this.start()
  }

  draw() {
    if (this.isBusy) return
    const { marked } = this.rows
    const open = button(this.say("workflow_open"), () => this.open(this.rows.marked), "cs-primary")
    open.disabled = !marked
    this.ask([], [open])
  }

  open(row) {
    if (!row) return
    const profile = this.rows.choice.value
    this.run(async () => this.end({ profile, found: await this.server.workflows.read({ profile, key: row.key }) }))
  }
}
