/**
 * Our part of ComfyUI's settings, commands with keys, the menu and the about page, as an extension. Frontends 1.27 to
 * 1.58; what one of them lacks is not shown.
 */

import { addStyles, button, element, sizeOf } from "./dom.js"
import { ENVIRONMENT, profileNames } from "./profile_names.js"
import { FOLDER_SETTING } from "./send_page.js"

const ID = "comfyui-cloud-storage"
const PROFILE_SETTING = `${ID}.DefaultProfile`
const PROFILE_NODE = "CloudStorageProfile"
const SERVER = "(server)" // no choice of the user's; ComfyUI shows nothing for an empty value
const SENT_FOLDER = "comfyui/sent/" // as page/send.py
const TOAST_MILLISECONDS = 8000
const KEYS = [
  { combo: { key: "b", alt: true, shift: true }, commandId: `${ID}.open` },
  { combo: { key: "t", alt: true, shift: true }, commandId: `${ID}.test` },
]

/** `host` is that of host.js, with `sidebar`. */
export function settingsExtension(host) {
  const { app } = host
  const say = host.say()
  const category = (name) => [say("cloud_title"), say("settings_group"), name]
  const badges = [] // the about page reads them when it is opened
  const ask = () => host.server().status().catch((error) => ({ error: error.message }))

  function toast(severity, lines) {
    const shown = { severity, summary: say("cloud_title"), detail: lines.join("\n"), life: TOAST_MILLISECONDS }
    app.extensionManager?.toast?.add?.(shown)
  }

  /** The profile that the user has chosen in the settings; "" for none. */
  function chosenProfile() {
    const chosen = app.extensionManager?.setting?.get?.(PROFILE_SETTING)
    return !chosen || chosen === SERVER ? "" : chosen
  }

  const open = () => host.sidebar.show("models")

  async function test() {
    const profile = chosenProfile() || ENVIRONMENT
    try {
      const lines = (await host.server().test({ profile })).map((line) => (Array.isArray(line) ? line : [line, {}]))
      toast(lines.some(([, { level }]) => level) ? "warn" : "success", lines.map(([text]) => say.message(text)))
    } catch (error) {
      toast("error", [error.message])
    }
  }

  async function refresh() {
    try {
      await host.server().models.refresh()
      toast("info", [say("settings_listing")])
    } catch (error) {
      toast("error", [error.message])
    }
  }

  /** An element with what `text(said)` makes of the server's answer; it is asked each time. */
  function shownState(text) {
    const shown = element("span", { class: "cs-setting-state" }, say("loading"))
    ask().then((said) => (shown.textContent = said.version === undefined ? say.message(said.error) : text(said)))
    return shown
  }

  const state = ({ name, models, error }) =>
    error ? say.message(error) : say("settings_state", { name: say.choice(name), models: models || "off" })

  function mirrorState({ mirror, mirror_errors: errors }) {
    const on = mirror.map(({ name, folders }) => {
      return say("settings_mirror_on", { name: say.choice(name), folders: folders.join(", ") })
    })
    return [...on, ...errors.map(say.message)].join(" ") || say("settings_mirror_off")
  }

  const cacheState = ({ cached, cached_max: most }) =>
    say("settings_cache_state", { used: sizeOf(cached, host.locale()), most: sizeOf(most, host.locale()) })

  /** How large the cache is, and a button that clears it. */
  function cache() {
    addStyles()
    const shown = shownState(cacheState)
    const clear = button(say("settings_cache_clear"), async () => {
      clear.disabled = true
      try {
        shown.textContent = cacheState(await host.server().clearCache())
      } catch (error) {
        shown.textContent = error.message
      }
      clear.disabled = false
    })
    return element("span", { class: "cs-setting-row" }, shown, " ", clear)
  }

  return {
    name: `${ID}.settings`,

    settings: [
      {
        id: `${ID}.Server`,
        name: say("settings_server"),
        category: category("Server"),
        tooltip: say("settings_server_help"),
        type: () => shownState(state),
        defaultValue: "",
      },
      {
        id: `${ID}.Mirror`,
        name: say("settings_mirror"),
        category: category("Mirror"),
        tooltip: say("settings_mirror_help"),
        type: () => shownState(mirrorState),
        defaultValue: "",
      },
      {
        id: `${ID}.Cache`,
        name: say("settings_cache"),
        category: category("Cache"),
        tooltip: say("settings_cache_help"),
        type: cache,
        defaultValue: "",
      },
      {
        id: FOLDER_SETTING,
        name: say("settings_folder"),
        category: category("SendFolder"),
        tooltip: say("settings_folder_help"),
        type: "text",
        defaultValue: SENT_FOLDER,
      },
      {
        id: PROFILE_SETTING,
        name: say("settings_profile"),
        category: category("DefaultProfile"),
        tooltip: say("settings_profile_help"),
        type: "combo",
        defaultValue: SERVER,
        options: () => [
          { text: say("settings_profile_server"), value: SERVER },
          ...profileNames().map((value) => ({ text: say.choice(value), value })),
        ],
      },
    ],

    commands: [
      { id: `${ID}.open`, icon: "pi pi-cloud", label: say("command_open"), function: open },
      { id: `${ID}.test`, icon: "pi pi-check-circle", label: say("command_test"), function: test },
      { id: `${ID}.refresh`, icon: "pi pi-refresh", label: say("command_refresh"), function: refresh },
    ],
    keybindings: KEYS,
    menuCommands: [
      { path: ["Extensions", say("cloud_title")], commands: [`${ID}.open`, `${ID}.test`, `${ID}.refresh`] },
    ],
    aboutPageBadges: badges,

    /** A new profile node begins with the user's profile; a workflow's own value replaces it. */
    nodeCreated(node) {
      if (node.comfyClass !== PROFILE_NODE) return
      const chosen = chosenProfile()
      const widget = node.widgets?.find(({ name }) => name === "profile")
      if (widget && profileNames().includes(chosen)) widget.value = chosen
    },

    async setup() {
      const { version, address } = await ask()
      if (!version) return
      const badge = { label: `${say("about")} ${version}`, icon: "pi pi-cloud" }
      badges.push(address ? { ...badge, url: address } : badge)
    },
  }
}
