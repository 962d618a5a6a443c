/**
 * The buttons on our nodes: browse the bucket or ComfyUI's folders for an input, upload a file to ComfyUI, test a
 * profile.
 */

import { element } from "./dom.js"
import { after } from "./host.js"
import { KIND_OF_NODE } from "./kinds.js"
import { showLines } from "./node_lines.js"
import { showPicked, showPreviews } from "./node_previews.js"
import { addButton, placeAfter, setValue } from "./node_widgets.js"
import { pick } from "./picker.js"
import { profileOf, titleOf } from "./wired_profile.js"

const PROFILE_NODE = "CloudStorageProfile"
const UPLOAD_NODE = "UploadFileToCloud"
const PICKED = { key: "file", key_prefix: "folder", prefix: "folder" } // what each of these inputs is

/** Add the buttons that the inputs of a new node need. */
export function addButtons(host, node) {
  const say = host.say()
  for (const widget of [...(node.widgets ?? [])]) {
    const buttons =
      node.comfyClass === UPLOAD_NODE && widget.name === "file"
        ? [["browse", say("browse_local"), browseLocal], ["upload", say("upload"), upload]]
        : widget.name in PICKED && node.comfyClass !== PROFILE_NODE
          ? [["browse", say("browse"), browse]]
          : []
    for (const [name, label, click] of buttons.reverse()) {
      const button = addButton(node, `${name}_${widget.name}`, label, () => click(host, node, widget))
      placeAfter(node, button, widget)
      if (click === browse) button.tooltip = say("browse_for", { name: widget.label ?? widget.name })
    }
    if (buttons.length) after(widget, "callback", () => node.cloudStoragePreview?.fade())
  }
  if (node.comfyClass === PROFILE_NODE) addButton(node, "test_connection", say("test"), () => testProfile(host, node))
}

async function browse(host, node, widget) {
  const say = host.say()
  const profile = profileOf(node, host.root())
  if (!profile) return showLines(host, node, [say("unreadable_profile")])
  const typed = String(widget.value ?? "").split("%")[0] // a %token% is known only when the node runs
  const chosen = await pick({
    files: host.server().files,
    say,
    locale: host.locale(),
    profile,
    where: (used) => titleOf(profile, used && say.choice(used)),
    start: typed,
    wants: PICKED[widget.name],
    kind: widget.name === "key" ? KIND_OF_NODE[node.comfyClass] : null,
  })
  if (chosen === null) return
  setValue(host.app, node, widget, chosen.key)
  if (PICKED[widget.name] === "file")
    showPicked(host, node, chosen, () => host.server().thumbnail(profile, chosen), { ...profile, key: chosen.key })
}

/** Choose one of the files in ComfyUI's own folders. */
async function browseLocal(host, node, widget) {
  const say = host.say()
  const files = host.server().local
  const where = () => say("this_comfyui")
  const start = String(widget.value ?? "").replaceAll("\\", "/")
  const chosen = await pick({ files, say, locale: host.locale(), profile: {}, where, start })
  if (chosen === null) return
  setValue(host.app, node, widget, chosen.key)
  showPicked(host, node, chosen, () => files.thumbnail({}, chosen))
}

/** Upload a file from the user's computer to ComfyUI's input folder, and choose it. */
function upload(host, node, widget) {
  const say = host.say()
  const take = async () => {
    const [file] = field.files
    if (!file) return
    showPreviews(node, [{ title: file.name, detail: say("uploading") }])
    try {
      const key = await host.server().upload(file)
      setValue(host.app, node, widget, key)
      const chosen = { key, size: file.size, etag: String(file.lastModified) }
      showPicked(host, node, chosen, () => host.server().local.thumbnail({}, chosen))
    } catch (error) {
      showPreviews(node, [{ title: file.name, detail: error.message }])
    }
  }
  const field = element("input", { type: "file", change: take })
  field.click()
}

async function testProfile(host, node) {
  const say = host.say()
  const profile = profileOf(node)
  if (!profile) return showLines(host, node, [[say("unreadable_profile"), { level: "warning" }]])
  showLines(host, node, [say("testing")])
  try {
    showLines(host, node, [...(await host.server().test(profile)), say("test_looks_only")])
  } catch (error) {
    showLines(host, node, [[error.message, { level: "error" }]])
  }
}
