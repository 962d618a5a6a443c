/**
 * The dialog that sets up a bucket: provider, bucket, access key, Test, Save.
 *
 * It reaches the server only through the object of api.js, and does not use ComfyUI. What is typed into it is in its
 * fields alone, and gone with them: secrets go to the server once, and never come back. Where the server does not take
 * them, the dialog does not ask for them, and shows what to write where.
 */

import { button, copy, element } from "./dom.js"
import { dialogOf, show } from "./dialog.js"

const SECRET = "…" // stands for what the user has to fill in
const KEYS = ["access_key", "secret_key"]

// The texts of questions, by their settings
const LABELS = {
  endpoint_url: "setup_endpoint_url",
  account_id: "setup_account_id",
  region: "setup_region",
  bucket: "setup_bucket",
  path_prefix: "setup_path_prefix",
  access_key: "setup_access_key",
  secret_key: "setup_secret_key",
}

let numbered = 0 // makes the ids of elements unique

/**
 * Resolves with the name of the profile that was saved, or null if none was. `server` is the object of api.js, `say`
 * returns texts.
 */
export async function setUp({ server, say }) {
  const asked = await server.setup.ask().catch((error) => ({ error }))
  return new Promise((resolve) => new SetupDialog({ server, say, asked }, resolve))
}

class SetupDialog {
  constructor({ server, say, asked }, resolve) {
    Object.assign(this, { server, say, asked, fields: new Map(), saved: null })
    this.report = element("ul", { class: "cs-report", role: "status" })
    this.body = element("div", { class: "cs-setup-body" })
    this.footer = element("footer", {})
    const look = "cs-picker cs-setup"
    this.dialog = dialogOf({ look, title: say("setup_title"), close: say("close") }, this.body, this.footer)
    this.dialog.addEventListener("keydown", (event) => {
      const isField = event.target.nodeName === "INPUT" && event.target.type !== "checkbox"
      if (event.key !== "Enter" || event.isComposing || !isField) return
      event.preventDefault()
      if (this.testButton && !this.testButton.disabled) this.test()
    })
    this.dialog.addEventListener("close", () => {
      this.running?.abort()
      for (const { input } of this.fields.values()) input.value = ""
      resolve(this.saved)
    })
    if (asked.error) this.fail(asked.error)
    else this.build()
    show(this.dialog)
    this.dialog.querySelector("select, input")?.focus()
  }

  fail(error) {
    this.body.append(element("p", { class: "cs-error", role: "alert" }, error.message))
    this.footer.append(this.spring(), button(this.say("close"), () => this.dialog.close(), "cs-primary"))
  }

  spring() {
    return element("span", { class: "cs-status" })
  }

  // ---------------------------------------------------------------- the elements

  build() {
    const { say, asked } = this
    const options = asked.providers.map(({ name }) => element("option", { value: name }, name))
    this.provider = element("select", { class: "cs-field", change: () => this.ask() }, ...options)
    this.questions = element("div", { class: "cs-questions" })
    const intro = asked.may_save ? say("setup_intro") : say.message(asked.why)
    this.body.append(
      element("p", { class: asked.may_save ? "cs-setup-intro" : "cs-setup-why" }, intro),
      this.row(say("setup_provider"), this.provider),
      this.questions,
    )
    if (asked.may_save) this.buildSaving()
    else this.buildText()
    this.ask()
  }

  buildSaving() {
    const { say, asked } = this
    const isFirst = !asked.names.length
    this.name = element("input", this.inputOf("name"))
    this.name.value = asked.names.includes(asked.first_name) ? "" : asked.first_name
    this.isDefault = element("input", { type: "checkbox", checked: !asked.default && asked.names.length !== 1 })
    const box = element("label", { class: "cs-box", hidden: isFirst }, this.isDefault, say("setup_default"))
    this.body.append(this.row(say("setup_name"), this.name, say("setup_name_hint")), box, this.report)
    this.fields.set("name", { input: this.name, wrong: this.name.parentNode.querySelector(".cs-error") })
    this.testButton = button(say("setup_test"), () => this.test())
    this.saveButton = button(say("setup_save"), () => this.save(), "cs-primary")
    const cancel = button(say("cancel"), () => this.dialog.close())
    this.footer.append(this.spring(), cancel, this.testButton, this.saveButton)
  }

  /** What to write where, for a server that takes no settings from this page. */
  buildText() {
    const { say } = this
    const [file, lines] = [element("pre", { tabindex: "0" }), element("pre", { tabindex: "0" })]
    this.draft = () => {
      file.textContent = this.fileText()
      lines.textContent = this.environmentText()
    }
    const copied = (of) => {
      const made = button(say("copy"), async () => {
        await copy(of.textContent)
        made.textContent = say("copied")
      })
      return made
    }
    const place = say("setup_file", { place: this.asked.place })
    this.body.append(
      element("div", { class: "cs-setup-text" }, element("h3", {}, place), copied(file), file),
      element("div", { class: "cs-setup-text" }, element("h3", {}, say("setup_environment")), copied(lines), lines),
      element("p", { class: "cs-setup-intro" }, say("setup_by_hand", { secret: SECRET })),
    )
    this.body.addEventListener("input", () => this.draft())
    this.footer.append(this.spring(), button(say("close"), () => this.dialog.close(), "cs-primary"))
  }

  row(label, input, hint = "", word = "") {
    const id = (input.id = `cs-field-${++numbered}`)
    const said = element("p", { class: "cs-error", id: `${id}-wrong`, role: "alert" })
    const quiet = hint ? [element("span", { class: "cs-quiet", id: `${id}-hint` }, hint)] : []
    const others = word ? [element("span", { class: "cs-quiet" }, ` · ${word}`)] : []
    const name = element("label", { for: id }, label, ...others)
    input.setAttribute("aria-describedby", `${id}-wrong ${id}-hint`)
    return element("div", { class: "cs-question" }, name, input, ...quiet, said)
  }

  inputOf(setting, isSecret = false) {
    return {
      type: isSecret ? "password" : "text",
      class: "cs-field",
      name: `cs-${setting}`,
      autocomplete: "off",
      autocapitalize: "off",
      spellcheck: "false",
      "data-1p-ignore": true, // password managers would keep it
      "data-lpignore": "true",
      input: () => this.changed(setting),
    }
  }

  /** Ask the questions of the chosen provider; answers to the same questions are kept. */
  ask() {
    const { say, asked, fields } = this
    const row = asked.providers.find(({ name }) => name === this.provider.value)
    const typed = [...fields].filter(([, { isTyped }]) => isTyped)
    const kept = new Map(typed.map(([name, { input }]) => [name, input.value]))
    for (const setting of [...fields.keys()]) if (setting !== "name") fields.delete(setting)
    this.questions.replaceChildren()
    for (const { setting, word, default: usual, optional } of row.questions) {
      const isKey = KEYS.includes(setting)
      if (isKey && !asked.may_save) continue
      const input = element("input", this.inputOf(setting, isKey))
      if (kept.has(setting)) input.value = kept.get(setting)
      else if (usual) input.value = usual
      const hint = optional && !usual ? say("setup_optional") : ""
      const made = this.row(say(LABELS[setting]), input, hint, word)
      this.questions.append(made)
      fields.set(setting, { input, wrong: made.querySelector(".cs-error"), isTyped: kept.has(setting) })
    }
    this.changed()
    this.draft?.()
  }

  // ---------------------------------------------------------------- what the user does

  changed(setting) {
    const field = this.fields.get(setting)
    if (field) {
      field.isTyped = true
      this.mark(field, "")
    }
    if (setting === "name" || !this.saveButton) return this.resetSave()
    this.isTested = false
    if (this.isTesting) this.running.abort() // it is about other answers
    this.report.replaceChildren()
    this.resetSave()
  }

  /** Save asks again before it replaces a profile, or saves what does not work. */
  resetSave() {
    this.agreed = {}
    if (this.saveButton) this.saveButton.textContent = this.say("setup_save")
  }

  mark({ input, wrong }, message) {
    wrong.textContent = message
    input.toggleAttribute("aria-invalid", Boolean(message))
  }

  answers() {
    const given = [...this.fields].filter(([name]) => name !== "name")
    return Object.fromEntries(given.map(([name, { input }]) => [name, input.value.trim()]))
  }

  tell(lines) {
    const items = lines.map((line) => {
      const [text, more = {}] = Array.isArray(line) ? line : [line]
      return element("li", { class: more.level ? `cs-line-${more.level}` : undefined }, this.say.message(text))
    })
    this.report.replaceChildren(...items)
    this.report.scrollIntoView?.({ block: "nearest" })
  }

  /** Run a request while the buttons wait; resolves with the answer, or with null after showing why there is none. */
  async run(text, ask) {
    this.running = new AbortController()
    const buttons = [this.testButton, this.saveButton]
    for (const each of buttons) each.disabled = true
    if (text) this.tell([this.say(text)])
    try {
      const said = await ask(this.running.signal)
      if (!said.wrong) return said
      this.tell([])
      for (const [setting, message] of Object.entries(said.wrong)) {
        const field = this.fields.get(setting)
        if (field) this.mark(field, this.say.message(message))
      }
      this.dialog.querySelector("input[aria-invalid]")?.focus()
    } catch (error) {
      if (error.name === "AbortError") return null
      if (error.kind === "AlreadyExists") return { exists: true }
      this.tell([[error.message, { level: "error" }]])
    } finally {
      for (const each of buttons) each.disabled = false
    }
    return null
  }

  /** Resolves with whether the answers work, as far as a test tells. */
  async test() {
    const given = { provider: this.provider.value, answers: this.answers() }
    this.isTesting = true
    const said = await this.run("testing", (signal) => this.server.setup.test(given, signal))
    this.isTesting = false
    if (!said) return false
    this.tell([...said.lines, this.say(said.enough ? "setup_works" : "setup_fails")])
    this.isTested = said.enough
    if (!said.enough) {
      this.agreed.untested = true
      this.saveButton.textContent = this.say("setup_save_anyway")
    }
    return said.enough
  }

  async save() {
    const hasAgreed = this.isTested || this.agreed.untested
    if (!hasAgreed && !(await this.test())) return
    const name = this.name.value.trim()
    const given = {
      provider: this.provider.value,
      answers: this.answers(),
      name,
      replace: this.agreed.replaces === name,
      default: this.isDefault.checked,
    }
    const said = await this.run("", (signal) => this.server.setup.save(given, signal))
    if (!said) return
    if (said.exists) {
      this.agreed.replaces = name
      this.saveButton.textContent = this.say("setup_replace", { name })
      const field = this.fields.get("name")
      this.mark(field, this.say("setup_exists", { name }))
      return this.saveButton.focus()
    }
    this.saved = said.name
    this.dialog.close()
  }

  // ---------------------------------------------------------------- what to write by hand

  settings() {
    const row = this.asked.providers.find(({ name }) => name === this.provider.value)
    const usual = Object.fromEntries(row.questions.map((each) => [each.setting, each.default]))
    const answers = this.answers()
    const isSaid = ([name, value]) => value && (name !== "region" || value !== usual[name])
    const given = Object.fromEntries(Object.entries(answers).filter(isSaid))
    const keys = Object.fromEntries(KEYS.map((name) => [name, SECRET]))
    return { provider: this.provider.value, ...given, bucket: answers.bucket || SECRET, ...keys }
  }

  fileText() {
    return JSON.stringify({ profiles: { [this.asked.first_name]: this.settings() } }, null, 2)
  }

  environmentText() {
    const lines = Object.entries(this.settings()).map(([name, value]) => `${this.asked.variables[name]}=${value}`)
    return lines.join("\n")
  }
}
