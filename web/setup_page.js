/**
 * "Set up a bucket" in ComfyUI's page, as an extension: a command, and a button on the profile node while nothing is
 * configured. Frontends 1.27 to 1.58.
 */

import { refreshNodes } from "./host.js"
import { addButton, dropWidgets } from "./node_widgets.js"
import { setUp } from "./setup_dialog.js"

const COMMAND = "CloudStorage.SetUp"
const PROFILE_NODE = "CloudStorageProfile"
const BUTTON = "set_up"
const SAID_MILLISECONDS = 8000

/** `host` is that of host.js. */
export function setupOf(host) {
  const { app } = host
  const listeners = []
  let configured // a promise: the server is asked once

  /** Resolves with whether anything is configured; true if that is unknown. */
  function isConfigured() {
    configured ??= host.server().setup.ask().then((said) => said.configured, () => true)
    return configured
  }

  async function open() {
    const say = host.say()
    const server = host.server()
    const name = await setUp({ server, say })
    if (name === null) return null
    const { default: usual, names } = await server.setup.ask().catch(() => ({ names: [] }))
    const isDefault = usual === name || names.length === 1
    const detail = isDefault ? say("setup_saved_default") : say("setup_saved_named", { name })
    const life = SAID_MILLISECONDS
    app.extensionManager.toast?.add?.({ severity: "success", summary: say("setup_saved"), detail, life })
    configured = Promise.resolve(true)
    for (const node of host.allNodes()) settle(node)
    refreshNodes(app) // the new name in the drop-down
    for (const call of listeners) call(name)
    return name
  }

  /** Add the button to a profile node while nothing is configured, and remove it afterwards. */
  async function settle(node) {
    if (node.comfyClass !== PROFILE_NODE) return
    const isWanted = !(await isConfigured())
    const isThere = Boolean(node.widgets?.some(({ name }) => name === BUTTON))
    if (isWanted === isThere) return
    if (isWanted) addButton(node, BUTTON, host.say()("setup_title"), open)
    else dropWidgets(node, [BUTTON])
    node.setSize([node.size[0], Math.max(node.computeSize()[1], isWanted ? node.size[1] : 0)])
    node.setDirtyCanvas?.(true, true)
  }

  return {
    /** Open the dialog; resolves with the name of the saved profile, or with null. */
    open,
    isConfigured,
    /** Have a function called with the name of each profile that is saved. */
    whenSaved: (call) => listeners.push(call),
    extension: {
      name: "comfyui-cloud-storage.setup",
      commands: [{ id: COMMAND, icon: "pi pi-cloud", label: () => host.say()("setup_command"), function: open }],
      nodeCreated: settle,
    },
  }
}
