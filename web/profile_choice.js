/**
 * The choice of a profile above a list: a drop-down of the server's profiles and their buckets, not shown where there
 * is only one. Does not use ComfyUI.
 */

import { element } from "./dom.js"

/** A profile as it is shown, in the user's language, with its bucket if that is known. */
export function profileText(say, { name, bucket }) {
  return [name && say.choice(name), bucket].filter(Boolean).join(" · ")
}

export class ProfileChoice {
  /** `server` is the object of api.js. `changed()` is called when the user has chosen another one. */
  constructor({ server, say, changed }) {
    Object.assign(this, { server, say })
    const attributes = { class: "cs-field", "aria-label": say("files_profile"), change: changed, hidden: true }
    this.element = element("select", attributes)
  }

  get value() {
    return this.element.value
  }

  /**
   * Ask which profiles there are, and choose `wanted` if it is one of them, else the one that is used by default.
   * Resolves with why there is none, "" if there are some.
   */
  async ask(wanted) {
    const { profiles, chosen, error } = await this.server.files.profiles()
    const options = profiles.map((one) => element("option", { value: one.name }, profileText(this.say, one)))
    this.element.replaceChildren(...options)
    this.element.hidden = profiles.length < 2
    if (!profiles.length) return error
    this.element.value = profiles.some(({ name }) => name === wanted) ? wanted : chosen
    return ""
  }
}
