/**
 * "Send to bucket" in the menu of each node that shows files, as an extension. Frontends 1.27 to 1.58.
 */

import { after, isOurs } from "./host.js"
import { hideLines, showLines } from "./node_lines.js"
import { profileNames } from "./profile_names.js"
import { filesOf } from "./shown_files.js"

export const FOLDER_SETTING = "comfyui-cloud-storage.SendFolder"

/** `host` is that of host.js. */
export function sendExtension(host) {
  const shown = new Set() // nodes with lines of what was sent, until they run again
  const { app, api } = host

  /** The entries for a node's menu. What our own nodes show is in the bucket, or came from there. */
  function entries(node) {
    const files = isOurs(node.constructor?.nodeData) ? [] : chosen(host, node)
    if (!files.length) return []
    const say = host.say()
    const content = files.length > 1 ? say("send_count", { count: files.length }) : say("send")
    const names = profileNames()
    if (names.length < 2) return [{ content, callback: () => void send(node, files, names[0]) }]
    const options = names.map((name) => ({ content: say.choice(name), callback: () => void send(node, files, name) }))
    return [{ content, has_submenu: true, submenu: { options } }]
  }

  async function send(node, files, profile) {
    shown.add(node)
    showLines(host, node, [host.say()("sending")])
    try {
      const folder = app.extensionManager?.setting?.get?.(FOLDER_SETTING)
      showLines(host, node, (await host.server().send(files, profile, folder)).lines)
    } catch (error) {
      showLines(host, node, [[error.message, { level: "error" }]])
    }
  }

  return {
    name: "comfyui-cloud-storage.send",

    getNodeMenuItems: entries,

    beforeRegisterNodeDef(nodeType) {
      if (app.collectNodeMenuItems) return // then the page asks getNodeMenuItems
      after(nodeType.prototype, "getExtraMenuOptions", (node, _canvas, options) => options?.push(...entries(node)))
    },

    setup() {
      api.addEventListener("executed", ({ detail }) => {
        for (const node of host.nodesNamed(detail.display_node ?? detail.node)) if (shown.delete(node)) hideLines(node)
      })
    },
  }
}

/** The files that a node shows; if it shows one of several enlarged, that one. */
function chosen(host, node) {
  const [, names = []] = host.named().find(([each]) => each === node) ?? []
  const output = names.map((name) => host.app.nodeOutputs?.[name]).find(Boolean)
  const files = filesOf(output, node.imgs)
  const one = node.imgs?.length === files.length ? files[node.imageIndex ?? -1] : undefined
  return one ? [one] : files
}
