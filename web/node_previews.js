/**
 * Previews on our nodes: of what a run has loaded, and of the file that the user has just chosen.
 */

import { dateOf, sizeOf } from "./dom.js"
import { NODE_MIN_PIXELS } from "./node_lines.js"
import { addElement, dropWidgets } from "./node_widgets.js"
import { previewElement } from "./preview.js"
import { mayHaveOne } from "./thumbnails.js"
import { mayHaveWorkflow } from "./workflow_inside.js"

const PREVIEW_PIXELS = 190 // the least height of a preview in a node, with its caption
const PREVIEW_WIDGETS = ["$$canvas-image-preview", "video-preview"] // the frontend's, of an earlier run
const PLAYER_WIDGET = "audioUI"

/** Show previews of what was loaded: queries of /view, which also have the true sizes. */
export function showLoaded(host, node, given) {
  const say = host.say()
  const previews = given.map((query) => {
    const { width, height, frames, ...file } = Object.fromEntries(new URLSearchParams(query))
    const detail = say(frames > 1 ? "size_frames" : "size", { width, height, frames })
    return { address: host.api.apiURL(`/view?${new URLSearchParams(file)}`), detail }
  })
  showPreviews(node, previews)
}

/**
 * Show the name of a chosen file at once, and its thumbnail as soon as it has arrived; for an `object` of the bucket
 * also what opens the workflow inside.
 */
export async function showPicked(host, node, file, thumbnail, object = null) {
  const detail = [sizeOf(file.size, host.locale()), dateOf(file.modified, host.locale())].filter(Boolean).join(" · ")
  const shown = { title: file.key.split("/").at(-1), detail }
  if (object && mayHaveWorkflow(file.key))
    shown.action = { label: host.say()("inside_open"), click: () => host.openWorkflow(object) }
  const box = showPreviews(node, [shown])
  const turn = (node.cloudStorageTurn = {})
  if (!mayHaveOne(file)) return
  const blob = await thumbnail().catch(() => null) // too large or no image: the name stays
  if (blob && node.cloudStorageTurn === turn) box.show([{ ...shown, address: URL.createObjectURL(blob) }])
}

/** Show previews, each `{address, title, detail}`, in place of those that a node has. */
export function showPreviews(node, previews) {
  node.cloudStorageTurn = undefined // ignore a thumbnail that arrives later
  if (!node.cloudStoragePreview) {
    const made = previewElement()
    addElement(node, "cloud_storage_preview", made.element, { getMinHeight: () => PREVIEW_PIXELS })
    made.element.style.minHeight = `${PREVIEW_PIXELS}px`
    node.cloudStoragePreview = made
    const room = node.computeSize()
    node.setSize([Math.max(node.size[0], room[0], NODE_MIN_PIXELS), Math.max(node.size[1], room[1])])
  }
  node.cloudStoragePreview.show(previews)
  node.setDirtyCanvas?.(true, true)
  return node.cloudStoragePreview
}

/** Remove the previews of an earlier run: frontends keep some of them if the new output has none. */
export function dropPreviews(node) {
  node.cloudStoragePreview?.fade()
  node.imgs = node.images = undefined
  node.imageIndex = null
  dropWidgets(node, PREVIEW_WIDGETS)
  node.widgets?.find((widget) => widget.name === PLAYER_WIDGET)?.element?.removeAttribute("src")
}
