/**
 * Uploads a file that the user drops or pastes onto one of our Load nodes to the bucket, and has the node load it; as
 * an extension. Frontends 1.27 to 1.58.
 */

import { fileFor, folderOf } from "./dropped_files.js"
import { after } from "./host.js"
import { KIND_OF_NODE } from "./kinds.js"
import { showLines } from "./node_lines.js"
import { showPicked } from "./node_previews.js"
import { setValue } from "./node_widgets.js"
import { profileOf } from "./wired_profile.js"

const KEY = "key"

/** `host` is that of host.js. */
export function dropExtension(host) {
  /** Upload one of the files; false if they are for ComfyUI. */
  function take(node, files) {
    const kind = KIND_OF_NODE[node.comfyClass]
    const { file, refused, isOneOfSeveral } = fileFor(kind, files)
    if (!file && !refused) return false
    const say = host.say()
    const fail = (text) => showLines(host, node, [[text, { level: "error" }]])
    const profile = profileOf(node, host.root())
    if (refused) fail(say("drop_kind", { name: refused.name, kind: say(kind.text) }))
    else if (node.inputs?.some(({ name, link }) => name === KEY && link != null)) fail(say("drop_wired"))
    else if (!profile) fail(say("unreadable_profile"))
    else void upload(node, profile, file, isOneOfSeveral ? [say("drop_first", { name: file.name })] : [])
    return true
  }

  async function upload(node, profile, file, remarks) {
    const say = host.say()
    const turn = (node.cloudStorageDrop = {}) // a file that is dropped meanwhile counts instead
    const isCurrent = () => node.cloudStorageDrop === turn
    const show = (lines) => isCurrent() && showLines(host, node, lines)
    let shown
    const progress = (part) => {
      const percent = Math.floor(part * 100)
      if (percent === shown) return
      shown = percent
      show([percent < 100 ? say("dropping", { name: file.name, percent }) : say("drop_storing", { name: file.name })])
    }
    progress(0)
    try {
      const widget = node.widgets.find(({ name }) => name === KEY)
      const stored = await host.server().drop(profile, folderOf(widget.value), file, progress)
      if (!isCurrent()) return
      setValue(host.app, node, widget, stored.key)
      show([say("drop_stored", { key: stored.key }), ...remarks])
      const chosen = { key: stored.key, size: stored.size, etag: stored.etag }
      showPicked(host, node, chosen, () => host.server().thumbnail(profile, chosen))
    } catch (error) {
      show([[error.message, { level: "error" }]])
    }
  }

  return {
    name: "comfyui-cloud-storage.drop",

    beforeRegisterNodeDef(nodeType, definition) {
      if (!(definition.name in KIND_OF_NODE)) return
      after(nodeType.prototype, "onNodeCreated", (node) => {
        node.onDragOver = (event) => [...(event?.dataTransfer?.items ?? [])].some(({ kind }) => kind === "file")
        node.onDragDrop = (event) => take(node, event?.dataTransfer?.files ?? [])
        node.pasteFiles = (files) => take(node, files)
      })
    },

    /** ComfyUI would put a pasted image into a new node of its own, unless its own kind of node is selected. */
    setup() {
      document.addEventListener(
        "paste",
        (event) => {
          const node = selected(host.app.canvas)
          const files = event.clipboardData?.files
          if (!node || !files?.length || isTyped(event.target) || !take(node, files)) return
          event.preventDefault()
          event.stopImmediatePropagation()
        },
        { capture: true },
      )
    },
  }
}

/** The node that is selected, if it is a single one and takes files of ours. */
function selected(canvas) {
  const items = canvas?.selectedItems?.size ? [...canvas.selectedItems] : Object.values(canvas?.selected_nodes ?? {})
  return items.length === 1 && items[0]?.comfyClass in KIND_OF_NODE ? items[0] : null
}

function isTyped(target) {
  return target instanceof Element && Boolean(target.closest("input, textarea, [contenteditable], dialog"))
}
