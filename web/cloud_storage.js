/**
 * Extends our nodes in ComfyUI's page: result lines to read, open and copy; a button beside each key to browse the
 * bucket; and a button to test a profile.
 *
 * The only module here that knows ComfyUI, beside library_page.js, to which it gives what the library needs. Works on
 * the canvas and with Vue nodes, frontends 1.27 to 1.58. Nothing that is added is saved: a workflow has only the values
 * of the nodes' own inputs.
 */

import { api } from "../../scripts/api.js"
import { app } from "../../scripts/app.js"
import { addStyles, dateOf, element, sizeOf } from "./dom.js"
import { KIND_OF_NODE } from "./kinds.js"
import { libraryExtension } from "./library_page.js"
import { takeForeign } from "./foreign.js"
import { linesElement } from "./result_lines.js"
import { pick } from "./picker.js"
import { previewElement } from "./preview.js"
import { profileOf, titleOf } from "./wired_profile.js"
import { followRuns } from "./runs.js"
import { serverOf } from "./api.js"
import { texts } from "./texts.js"
import { mayHaveOne } from "./thumbnails.js"

const CATEGORY = "cloud_storage"
const LINES = "cloud_storage" // the key in a node's `ui` that comfyui/results.py fills
const PREVIEWS = "cloud_storage_pictures" // the same of nodes_load.py
const PROFILE_NODE = "CloudStorageProfile"
const UPLOAD_NODE = "UploadFileToCloud"
const VAE_INPUT = "vae"
const PICKED = { key: "file", key_prefix: "folder", prefix: "folder" } // what each of these inputs is
const STATUS_TEXT = "$$node-text-preview" // the frontend's widget for a running node's status

const LINES_MAX_PIXELS = 220
const LINES_MARGIN_PIXELS = 10 // the margin of the canvas around the element of a widget
const PREVIEW_PIXELS = 190 // the least height of a preview in a node, with its caption
const NODE_MIN_PIXELS = 320
const PREVIEW_WIDGETS = ["$$canvas-image-preview", "video-preview"] // the frontend's, of an earlier run
const PLAYER_WIDGET = "audioUI"
const RUNS_KEPT = 1000 // for which the workflow is known
const PUT_BACK_MILLISECONDS = 300
const PUT_BACK_LOOKS = 10
const FOREVER_OURS = { serialize: false } // neither in the workflow nor in the prompt

app.registerExtension({
  name: "comfyui-cloud-storage",

  init: () => addStyles(), // ComfyUI waits for this; without styles the measured heights would be wrong

  beforeRegisterNodeDef(nodeType, nodeData) {
    if (!isOurs(nodeData)) return
    after(nodeType.prototype, "onNodeCreated", (node) => {
      addButtons(node)
      nameChoices(node)
      fitTitle(node)
    })
    for (const moment of ["onNodeCreated", "onConfigure", "onConnectionsChange"]) {
      after(nodeType.prototype, moment, (node) => settleTypes(node, nodeData.output ?? []))
    }
    after(nodeType.prototype, "onConfigure", (node, saved) => {
      const taken = takeForeign(node, saved)
      if (taken) showLines(node, [taken])
    })
    after(nodeType.prototype, "onExecuted", (node, output) => {
      if (Array.isArray(output?.[PREVIEWS])) showLoaded(node, output[PREVIEWS])
      if (Array.isArray(output?.[LINES])) showLines(node, output[LINES], true)
    })
    after(nodeType.prototype, "onSerialize", compact)
  },

  afterConfigureGraph: () => putBack(PUT_BACK_LOOKS),

  // For programs. Without a listener ComfyUI's page warns of a message that it does not know.
  setup: () => api.addEventListener("cloud_storage.outbox", () => {}),
})

app.registerExtension(
  libraryExtension({
    app,
    api,
    locale,
    allNodes: () => [...namedNodes(app.rootGraph ?? app.graph)].map(([node]) => node),
    nodesNamed: (id) => {
      const all = [...namedNodes(app.rootGraph ?? app.graph)]
      return all.filter(([, names]) => names[0] === String(id)).map(([node]) => node)
    },
    showError: (node, message) => {
      node.has_errors = true
      showLines(node, [[texts(locale()).message(message), { level: "error" }]], true)
    },
    hideError: (node) => {
      node.has_errors = false
      dropWidgets(node, ["cloud_storage_lines"])
      node.cloudStorageLines = undefined
    },
  }),
)

function isOurs(nodeData) {
  return nodeData?.category?.split("/")[0] === CATEGORY
}

/** Sets the type of an output for which the server names two: the second if a VAE is connected, else the first. */
function settleTypes(node, given) {
  const isEncoded = node.inputs?.some((input) => input.name === VAE_INPUT && input.link != null)
  node.outputs?.forEach((output, place) => {
    const types = String(given[place] ?? "").split(",")
    if (types.length > 1) output.type = types[isEncoded ? 1 : 0]
  })
}

/** Call `further(node, ...arguments)` after a method of a node's class; the method keeps its result. */
function after(prototype, name, further) {
  const own = prototype[name]
  prototype[name] = function (...given) {
    const result = own?.apply(this, given)
    further(this, ...given)
    return result
  }
}

/**
 * Frontends up to 1.49 save a node's values by the index of its widgets, with gaps for ours, but read them one after
 * another: a button between two inputs would shift all values after it. So remove the gaps, as 1.58 does, and the
 * status of the last run, which 1.27 saves.
 */
function compact(node, saved) {
  const values = saved.widgets_values
  const isKept = (widget) => widget.serialize !== false && widget.name !== STATUS_TEXT
  const kept = (node.widgets ?? []).flatMap((widget, place) => (isKept(widget) ? [place] : []))
  if (Array.isArray(values) && values.length > kept.length) saved.widgets_values = kept.map((place) => values[place])
}

/** Make a new node as wide as its title; the canvas adds the height of the title on both sides. */
function fitTitle(node) {
  const pen = document.createElement("canvas").getContext("2d")
  pen.font = node.titleFontStyle
  const width = Math.ceil(pen.measureText(node.title).width) + 2 * LiteGraph.NODE_TITLE_HEIGHT
  if (node.size[0] < width) node.setSize([width, node.size[1]])
}

function locale() {
  return app.extensionManager?.setting?.get?.("Comfy.Locale") || navigator.language
}

function server(say) {
  return serverOf((path) => api.apiURL(path), say)
}

/** Show the values of drop-downs in the page's language; the values themselves do not change. */
function nameChoices(node) {
  const say = texts(locale())
  const known = (value) => say.choice(value) !== String(value ?? "")
  for (const widget of node.widgets ?? []) {
    const values = widget.options?.values
    const isKnown = widget.type === "combo" && Array.isArray(values) && values.some(known)
    if (isKnown) widget.options.getOptionLabel = say.choice
  }
}

// ---------------------------------------------------------------- buttons

function addButtons(node) {
  const say = texts(locale())
  for (const widget of [...(node.widgets ?? [])]) {
    const buttons =
      node.comfyClass === UPLOAD_NODE && widget.name === "file"
        ? [["browse", say("browse_local"), browseLocal], ["upload", say("upload"), upload]]
        : widget.name in PICKED && node.comfyClass !== PROFILE_NODE
          ? [["browse", say("browse"), browse]]
          : []
    for (const [name, label, click] of buttons.reverse()) {
      const button = addButton(node, `${name}_${widget.name}`, label, () => click(node, widget))
      node.widgets.splice(node.widgets.indexOf(button), 1)
      node.widgets.splice(node.widgets.indexOf(widget) + 1, 0, button)
      if (click === browse) button.tooltip = say("browse_for", { name: widget.label ?? widget.name })
    }
    if (buttons.length) after(widget, "callback", () => node.cloudStoragePreview?.fade())
  }
  if (node.comfyClass === PROFILE_NODE) addButton(node, "test_connection", say("test"), () => testProfile(node))
}

function addButton(node, name, label, click) {
  const button = node.addWidget("button", name, null, click, { ...FOREVER_OURS })
  button.label = label
  button.serialize = false
  return button
}

/** Add an element below the inputs of a node; neither the workflow nor the prompt has it. */
function addElement(node, name, made, options) {
  const fixed = { ...FOREVER_OURS, hideOnZoom: false, getValue: () => "", setValue: () => {} }
  node.addDOMWidget(name, name, made, { ...fixed, ...options }).serialize = false
}

async function browse(node, widget) {
  const say = texts(locale())
  const profile = profileOf(node, app.rootGraph ?? app.graph)
  if (!profile) return showLines(node, [say("unreadable_profile")])
  const typed = String(widget.value ?? "").split("%")[0] // a %token% is known only when the node runs
  const chosen = await pick({
    server: server(say),
    say,
    locale: locale(),
    profile,
    where: (used) => titleOf(profile, used),
    start: typed,
    wants: PICKED[widget.name],
    kind: widget.name === "key" ? KIND_OF_NODE[node.comfyClass] : null,
  })
  if (chosen === null) return
  setValue(node, widget, chosen.key)
  if (PICKED[widget.name] === "file") showPicked(node, chosen, () => server(say).thumbnail(profile, chosen))
}

/** Choose one of the files in ComfyUI's own folders. */
async function browseLocal(node, widget) {
  const say = texts(locale())
  const files = server(say).local
  const where = () => say("this_comfyui")
  const start = String(widget.value ?? "").replaceAll("\\", "/")
  const chosen = await pick({ server: files, say, locale: locale(), profile: {}, where, start })
  if (chosen === null) return
  setValue(node, widget, chosen.key)
  showPicked(node, chosen, () => files.thumbnail({}, chosen))
}

/** Upload a file from the user's computer to ComfyUI's input folder, and choose it. */
function upload(node, widget) {
  const say = texts(locale())
  const take = async () => {
    const [file] = field.files
    if (!file) return
    showPreviews(node, [{ title: file.name, detail: say("uploading") }])
    try {
      const key = await server(say).upload(file)
      setValue(node, widget, key)
      const chosen = { key, size: file.size, etag: String(file.lastModified) }
      showPicked(node, chosen, () => server(say).local.thumbnail({}, chosen))
    } catch (error) {
      showPreviews(node, [{ title: file.name, detail: error.message }])
    }
  }
  const field = element("input", { type: "file", change: take })
  field.click()
}

function setValue(node, widget, value) {
  if (value === widget.value) return
  node.graph?.beforeChange?.(node)
  widget.value = value
  widget.callback?.(value, app.canvas, node)
  node.graph?.afterChange?.(node)
  node.setDirtyCanvas(true, true)
}

async function testProfile(node) {
  const say = texts(locale())
  const profile = profileOf(node)
  if (!profile) return showLines(node, [[say("unreadable_profile"), { level: "warning" }]])
  showLines(node, [say("testing")])
  try {
    showLines(node, [...(await server(say).test(profile)), say("test_looks_only")])
  } catch (error) {
    showLines(node, [[error.message, { level: "error" }]])
  }
}

// ---------------------------------------------------------------- previews

/** Show previews of what was loaded: queries of /view, which also have the true sizes. */
function showLoaded(node, given) {
  const say = texts(locale())
  const previews = given.map((query) => {
    const { width, height, frames, ...file } = Object.fromEntries(new URLSearchParams(query))
    const detail = say(frames > 1 ? "size_frames" : "size", { width, height, frames })
    return { address: api.apiURL(`/view?${new URLSearchParams(file)}`), detail }
  })
  showPreviews(node, previews)
}

/** Show the name of a chosen file at once, and its thumbnail as soon as it has arrived. */
async function showPicked(node, file, thumbnail) {
  const detail = [sizeOf(file.size, locale()), dateOf(file.modified, locale())].filter(Boolean).join(" · ")
  const shown = { title: file.key.split("/").at(-1), detail }
  const box = showPreviews(node, [shown])
  const turn = (node.cloudStorageTurn = {})
  if (!mayHaveOne(file)) return
  const blob = await thumbnail().catch(() => null) // too large or no image: the name stays
  if (blob && node.cloudStorageTurn === turn) box.show([{ ...shown, address: URL.createObjectURL(blob) }])
}

function showPreviews(node, previews) {
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

// ---------------------------------------------------------------- lines

/**
 * Switching back to a workflow's tab creates its nodes again. The frontend restores their outputs some time later,
 * without an event: so look for them a few times.
 */
function putBack(looks) {
  for (const [node, names] of oursOf()) {
    const outputOf = (key) => names.map((name) => app.nodeOutputs?.[name]?.[key]).find(Array.isArray)
    if (!node.cloudStoragePreview && outputOf(PREVIEWS)) showLoaded(node, outputOf(PREVIEWS))
    if (!node.cloudStorageLines && outputOf(LINES)) showLines(node, outputOf(LINES), true)
  }
  if (looks > 1) setTimeout(() => putBack(looks - 1), PUT_BACK_MILLISECONDS)
}

/**
 * Yield each node of a graph and its subgraphs, with the names that the frontend may use for its outputs: in a
 * subgraph, the ids of the nodes around it and its own, `3:2`, or the subgraph's id and its own, `6515871a-…:2`.
 */
function* namedNodes(graph, path = []) {
  for (const node of graph.nodes ?? []) {
    const ids = [...path, node.id]
    yield [node, [ids.join(":"), ...(path.length ? [`${graph.id}:${node.id}`] : [])]]
    if (node.subgraph) yield* namedNodes(node.subgraph, ids)
  }
}

followRuns(
  api,
  {
    find: (id) => oursOf().find(([, names]) => names[0] === String(id))?.[0],
    all: () => oursOf().map(([node]) => node),
    sent: senders(),
  },
  {
    showLines: (node, lines) => showLines(node, lines, true),
    outcome: (id, lines, prompt) => {
      putOut(id, { [LINES]: lines, images: [] }, prompt)
      for (const [node, names] of oursOf()) if (names[0] === String(id)) dropPreviews(node)
    },
    restore: putOut,
    history: (prompt) => historyOf(prompt).catch(() => undefined), // then cached nodes do not show their lines again
    say: (...words) => texts(locale())(...words),
  },
)

/**
 * Returns a function: whether a run may belong to the workflow on the page. True for runs of other pages, of which
 * nobody knows. No event names the workflow of a run, so it is noted when the run is queued.
 */
function senders() {
  const shown = () => app.extensionManager?.workflow?.activeWorkflow
  const sent = new Map() // ids of runs to workflows
  const send = api.queuePrompt
  api.queuePrompt = async function (...given) {
    const workflow = shown()
    const answer = await send.apply(this, given)
    if (answer?.prompt_id) sent.set(answer.prompt_id, workflow)
    if (sent.size > RUNS_KEPT) sent.delete(sent.keys().next().value)
    return answer
  }
  return (prompt) => !sent.has(prompt) || sent.get(prompt) === shown()
}

async function historyOf(prompt) {
  const answer = await api.fetchApi(`/history/${prompt}`)
  return (await answer.json())[prompt]
}

/** Our nodes on the page, as of `namedNodes`. */
function oursOf() {
  return [...namedNodes(app.rootGraph ?? app.graph)].filter(([node]) => isOurs(node.constructor.nodeData))
}

/** Make the frontend accept `output` as the output of a node: it keeps outputs with the workflow's tab. */
function putOut(id, output, prompt) {
  const detail = { node: String(id), display_node: String(id), output, prompt_id: prompt }
  api.dispatchEvent(new CustomEvent("executed", { detail }))
}

/** Show lines on a node and make room for them. `hasRun`: they are of a run, so the next run makes them old. */
function showLines(node, lines, hasRun = false) {
  if (!node.cloudStorageLines) addLines(node)
  node.cloudStorageHasRun = hasRun
  node.cloudStorageLines.show(lines)
  node.cloudStorageLines.age(false)
  makeRoom(node)
  dropWidgets(node, [STATUS_TEXT]) // the lines repeat the last one of a run; frontends up to 1.49 would keep it
  node.setDirtyCanvas?.(true, true)
}

function addLines(node) {
  const say = texts(locale())
  const made = linesElement(say, node.title, (object) => server(say).open(object))
  addElement(node, "cloud_storage_lines", made.element, {
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

/** Remove the previews of an earlier run: frontends keep some of them if the new output has none. */
function dropPreviews(node) {
  node.cloudStoragePreview?.fade()
  node.imgs = node.images = undefined
  node.imageIndex = null
  dropWidgets(node, PREVIEW_WIDGETS)
  node.widgets?.find((widget) => widget.name === PLAYER_WIDGET)?.element?.removeAttribute("src")
}

function dropWidgets(node, names) {
  for (const widget of (node.widgets ?? []).filter(({ name }) => names.includes(name))) {
    widget.onRemove?.()
    node.widgets.splice(node.widgets.indexOf(widget), 1)
  }
}
