/**
 * The lines on a node: a box below its inputs, as high as its lines up to a limit. Any node can have one.
 */

import { linesElement } from "./result_lines.js"
import { STATUS_TEXT, addElement, dropWidgets } from "./node_widgets.js"

const WIDGET = "cloud_storage_lines"
const LINES_MAX_PIXELS = 220
const LINES_MARGIN_PIXELS = 10 // the margin of the canvas around the element of a widget
export const NODE_MIN_PIXELS = 320

/** Show lines on a node and make room for them. `hasRun`: they are of a run, so the next run makes them old. */
export function showLines(host, node, lines, hasRun = false) {
  node.cloudStorageHasRun = hasRun
  node.cloudStorageShown = lines
  node.cloudStorageMark = ""
  draw(host, node, lines)
}

/** Show a warning above the lines of a node until its next lines; "" takes it back. */
export function showMark(host, node, text) {
  if ((node.cloudStorageMark ?? "") === text) return
  node.cloudStorageMark = text
  const lines = node.cloudStorageShown ?? []
  if (!text && !lines.length) return hideLines(node)
  draw(host, node, text ? [[text, { level: "warning" }], ...lines] : lines)
}

function draw(host, node, lines) {
  if (!node.cloudStorageLines) addLines(host, node)
  node.cloudStorageLines.show(lines)
  node.cloudStorageLines.age(false)
  makeRoom(node)
  dropWidgets(node, [STATUS_TEXT]) // the lines repeat the last one of a run; frontends up to 1.49 would keep it
  node.setDirtyCanvas?.(true, true)
}

/** Remove the lines of a node. */
export function hideLines(node) {
  dropWidgets(node, [WIDGET])
  node.cloudStorageLines = node.cloudStorageShown = undefined
  node.cloudStorageMark = ""
}

/** Show an error on any node, with ComfyUI's red ring around it; `hideError` takes both back. */
export function showError(host, node, message) {
  node.has_errors = true
  showLines(host, node, [[message, { level: "error" }]], true)
}

export function hideError(node) {
  node.has_errors = false
  hideLines(node)
}

function addLines(host, node) {
  const made = linesElement(host.say(), node.title, (object) => host.server().open(object))
  addElement(node, WIDGET, made.element, {
    margin: LINES_MARGIN_PIXELS,
    getMinHeight: () => (node.cloudStorageHeights?.least ?? 0) + 2 * LINES_MARGIN_PIXELS,
    getMaxHeight: () => (node.cloudStorageHeights?.most ?? 0) + 2 * LINES_MARGIN_PIXELS,
  })
  node.cloudStorageLines = made
}

/** Make the box as high as its lines, up to a limit; it scrolls. The node grows too, unless the user resized it. */
function makeRoom(node) {
  const width = Math.max(node.size[0], NODE_MIN_PIXELS)
  const wanted = Math.ceil(node.cloudStorageLines.height(width - 2 * LINES_MARGIN_PIXELS))
  const height = Math.min(LINES_MAX_PIXELS, wanted)
  node.cloudStorageHeights = { least: height, most: wanted }
  // A Vue node is as high as its content; on the canvas the widget's height counts, and the element would stick out.
  const { element } = node.cloudStorageLines
  element.style.minHeight = window.LiteGraph?.vueNodesMode ? `${height}px` : ""
  const room = node.computeSize()
  if (node.size[1] !== node.cloudStorageGrown) node.cloudStorageOwn = node.size[1]
  node.setSize([Math.max(width, room[0]), Math.max(node.cloudStorageOwn, room[1])])
  node.cloudStorageGrown = node.size[1]
}
