/**
 * What our nodes have in ComfyUI's page beyond their inputs: results to read, open and copy; a button beside each key
 * that lets it be picked; and one to test a profile.
 *
 * The only module here that knows ComfyUI. Made for the canvas and for the Vue nodes, frontends 1.27 to 1.58. Nothing
 * that is added is saved: a workflow holds the values of the nodes' own inputs and no others.
 */

import { api } from "../../scripts/api.js"
import { app } from "../../scripts/app.js"
import { addStyles, dateOf, element, sizeOf } from "./dom.js"
import { KIND_OF_NODE } from "./kinds.js"
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
const LINES = "cloud_storage" // the key of a node's `ui` that comfyui_results.shown fills
const PICTURES = "cloud_storage_pictures" // the same of nodes_load.py
const PROFILE_NODE = "CloudStorageProfile"
const UPLOAD_NODE = "UploadFileToCloud"
const VAE_INPUT = "vae"
const PICKED = { key: "file", key_prefix: "folder", prefix: "folder" } // what each of these inputs is
const STATUS_TEXT = "$$node-text-preview" // the frontend's widget for a running node's status

const LINES_MAX_PIXELS = 220
const LINES_MARGIN_PIXELS = 10 // that the canvas leaves around the element of a widget
const PICTURE_PIXELS = 190 // the least height of a picture in a node, with its caption
const NODE_MIN_PIXELS = 320
const PREVIEW_WIDGETS = ["$$canvas-image-preview", "video-preview"] // the frontend's, for what ran before
const PLAYER_WIDGET = "audioUI"
const RUNS_KEPT = 1000 // of which it is known what workflow they are of
const PUT_BACK_MILLISECONDS = 300
const PUT_BACK_LOOKS = 10
const FOREVER_OURS = { serialize: false } // neither in the workflow nor in the prompt

app.registerExtension({
  name: "comfyui-cloud-storage",

  init: () => addStyles(), // ComfyUI waits for it: without styles a box has another height

  beforeRegisterNodeDef(nodeType, nodeData) {
    if (!isOurs(nodeData)) return
    after(nodeType.prototype, "onNodeCreated", (node) => addButtons(node))
    after(nodeType.prototype, "onNodeCreated", (node) => nameChoices(node))
    after(nodeType.prototype, "onNodeCreated", (node) => fitTitle(node))
    for (const moment of ["onNodeCreated", "onConfigure", "onConnectionsChange"]) {
      after(nodeType.prototype, moment, (node) => settleTypes(node, nodeData.output ?? []))
    }
    after(nodeType.prototype, "onConfigure", (node, saved) => {
      const taken = takeForeign(node, saved)
      if (taken) showLines(node, [taken])
    })
    after(nodeType.prototype, "onExecuted", (node, output) => {
      if (Array.isArray(output?.[PICTURES])) showLoaded(node, output[PICTURES])
      if (Array.isArray(output?.[LINES])) showLines(node, output[LINES], true)
    })
    after(nodeType.prototype, "onSerialize", compact)
  },

  afterConfigureGraph: () => putBack(PUT_BACK_LOOKS),
})

function isOurs(nodeData) {
  return nodeData?.category?.split("/")[0] === CATEGORY
}

/** An output that the server gives two types has the second one while a VAE is connected, else the first. */
function settleTypes(node, given) {
  const isEncoded = node.inputs?.some((input) => input.name === VAE_INPUT && input.link != null)
  node.outputs?.forEach((output, place) => {
    const types = String(given[place] ?? "").split(",")
    if (types.length > 1) output.type = types[isEncoded ? 1 : 0]
  })
}

/** Have `further(node, ...arguments)` called after a method of a node's class, which keeps its own result. */
function after(prototype, name, further) {
  const own = prototype[name]
  prototype[name] = function (...given) {
    const result = own?.apply(this, given)
    further(this, ...given)
    return result
  }
}

/**
 * Frontends up to 1.49 write a node's values at the places of its widgets, ours left empty, and read them one after
 * another: a button between two inputs would shift all that follow. So the empty places go, as in 1.58; and so does
 * the status of the last run, which 1.27 saves.
 */
function compact(node, saved) {
  const values = saved.widgets_values
  const isKept = (widget) => widget.serialize !== false && widget.name !== STATUS_TEXT
  const kept = (node.widgets ?? []).flatMap((widget, place) => (isKept(widget) ? [place] : []))
  if (Array.isArray(values) && values.length > kept.length) saved.widgets_values = kept.map((place) => values[place])
}

/** A new node is as wide as its title: the canvas leaves the height of the title free on both sides of it. */
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

/** Drop-downs show what their values are called in the page's language; the values themselves stay. */
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
    where: titleOf(profile),
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
  const where = say("this_comfyui")
  const start = String(widget.value ?? "").replaceAll("\\", "/")
  const chosen = await pick({ server: files, say, locale: locale(), profile: {}, where, start })
  if (chosen === null) return
  setValue(node, widget, chosen.key)
  showPicked(node, chosen, () => files.thumbnail({}, chosen))
}

/** Bring a file of the user's own computer to ComfyUI's input folder, and choose it. */
function upload(node, widget) {
  const say = texts(locale())
  const take = async () => {
    const [file] = field.files
    if (!file) return
    showPictures(node, [{ title: file.name, detail: say("uploading") }])
    try {
      const key = await server(say).upload(file)
      setValue(node, widget, key)
      const chosen = { key, size: file.size, etag: String(file.lastModified) }
      showPicked(node, chosen, () => server(say).local.thumbnail({}, chosen))
    } catch (error) {
      showPictures(node, [{ title: file.name, detail: error.message }])
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

// ---------------------------------------------------------------- pictures

/** Pictures of what was loaded: addresses of files in ComfyUI's folders, with their true sizes in them. */
function showLoaded(node, given) {
  const say = texts(locale())
  const pictures = given.map((query) => {
    const { width, height, frames, ...file } = Object.fromEntries(new URLSearchParams(query))
    const detail = say(frames > 1 ? "size_frames" : "size", { width, height, frames })
    return { address: api.apiURL(`/view?${new URLSearchParams(file)}`), detail }
  })
  showPictures(node, pictures)
}

/** The name of a file that was picked, at once, and its picture as soon as that is there. */
async function showPicked(node, file, thumbnail) {
  const detail = [sizeOf(file.size, locale()), dateOf(file.modified, locale())].filter(Boolean).join(" · ")
  const shown = { title: file.key.split("/").at(-1), detail }
  const box = showPictures(node, [shown])
  const turn = (node.cloudStorageTurn = {})
  if (!mayHaveOne(file)) return
  const blob = await thumbnail().catch(() => null) // too large or no image: the name stays
  if (blob && node.cloudStorageTurn === turn) box.show([{ ...shown, address: URL.createObjectURL(blob) }])
}

function showPictures(node, pictures) {
  node.cloudStorageTurn = undefined // what is still on its way comes too late
  if (!node.cloudStoragePreview) {
    const made = previewElement()
    const widget = node.addDOMWidget("cloud_storage_preview", "cloud_storage_preview", made.element, {
      ...FOREVER_OURS,
      hideOnZoom: false,
      getMinHeight: () => PICTURE_PIXELS,
      getValue: () => "",
      setValue: () => {},
    })
    widget.serialize = false
    made.element.style.minHeight = `${PICTURE_PIXELS}px`
    node.cloudStoragePreview = made
    const room = node.computeSize()
    node.setSize([Math.max(node.size[0], room[0], NODE_MIN_PIXELS), Math.max(node.size[1], room[1])])
  }
  node.cloudStoragePreview.show(pictures)
  node.setDirtyCanvas?.(true, true)
  return node.cloudStoragePreview
}

// ---------------------------------------------------------------- lines

/**
 * Switching back to a workflow's tab makes its nodes anew. What they had to tell is known to the frontend, which gives
 * it back some time after the nodes, and says by nothing when: so look for it a few times.
 */
function putBack(looks) {
  for (const [node, names] of namedNodes(app.rootGraph ?? app.graph)) {
    if (!isOurs(node.constructor.nodeData)) continue
    const told = (key) => names.map((name) => app.nodeOutputs?.[name]?.[key]).find(Array.isArray)
    if (!node.cloudStoragePreview && told(PICTURES)) showLoaded(node, told(PICTURES))
    if (!node.cloudStorageLines && told(LINES)) showLines(node, told(LINES), true)
  }
  if (looks > 1) setTimeout(() => putBack(looks - 1), PUT_BACK_MILLISECONDS)
}

/**
 * Each node of a graph and of the subgraphs in it, with the names that the frontend may have for its outputs: in a
 * subgraph its id behind those of the nodes that it lies in, `3:2`, or behind the subgraph's own, `6515871a-…:2`.
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
    tell: (node, lines) => showLines(node, lines, true),
    outcome: (id, lines, prompt) => {
      putOut(id, { [LINES]: lines, images: [] }, prompt)
      for (const [node, names] of oursOf()) if (names[0] === String(id)) dropPicture(node)
    },
    restore: putOut,
    history: (prompt) => historyOf(prompt).catch(() => undefined), // then what is cached is not told again
    say: (...words) => texts(locale())(...words),
  },
)

/**
 * Tells whether a run may be one of the workflow that is shown: of those that another page sent, nobody knows.
 * No event names the workflow of a run, so each is noted when it is sent.
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

/** Have the frontend take something for what a node of a run put out: it keeps that with the workflow's tab. */
function putOut(id, output, prompt) {
  const detail = { node: String(id), display_node: String(id), output, prompt_id: prompt }
  api.dispatchEvent(new CustomEvent("executed", { detail }))
}

/** Show lines on a node, and make room for them. `hasRun`: a run brought them, and the next one makes them old. */
function showLines(node, lines, hasRun = false) {
  if (!node.cloudStorageLines) addLines(node)
  node.cloudStorageHasRun = hasRun
  node.cloudStorageLines.show(lines)
  node.cloudStorageLines.age(false)
  makeRoom(node)
  dropStatus(node)
  node.setDirtyCanvas?.(true, true)
}

function addLines(node) {
  const say = texts(locale())
  const made = linesElement(say, node.title, (object) => server(say).open(object))
  const widget = node.addDOMWidget("cloud_storage_lines", "cloud_storage_lines", made.element, {
    ...FOREVER_OURS,
    hideOnZoom: false,
    margin: LINES_MARGIN_PIXELS,
    getMinHeight: () => (node.cloudStorageHeights?.least ?? 0) + 2 * LINES_MARGIN_PIXELS,
    getMaxHeight: () => (node.cloudStorageHeights?.most ?? 0) + 2 * LINES_MARGIN_PIXELS,
    getValue: () => "",
    setValue: () => {},
  })
  widget.serialize = false
  node.cloudStorageLines = made
}

/** The box is as high as its lines, within bounds; what is longer scrolls. A node that nobody resized goes along. */
function makeRoom(node) {
  const width = Math.max(node.size[0], NODE_MIN_PIXELS)
  const wanted = Math.ceil(node.cloudStorageLines.height(width - 2 * LINES_MARGIN_PIXELS))
  const height = Math.min(LINES_MAX_PIXELS, wanted)
  node.cloudStorageHeights = { least: height, most: wanted }
  // A Vue node is as high as what is in it; on the canvas the widget's own height counts, and this one would stick out.
  const { element } = node.cloudStorageLines
  element.style.minHeight = window.LiteGraph?.vueNodesMode ? `${height}px` : ""
  const room = node.computeSize()
  if (node.size[1] !== node.cloudStorageGrown) node.cloudStorageOwn = node.size[1]
  node.setSize([Math.max(width, room[0]), Math.max(node.cloudStorageOwn, room[1])])
  node.cloudStorageGrown = node.size[1]
}

/** What a node had to show of an earlier run; frontends keep some of it where the new output has none. */
function dropPicture(node) {
  node.cloudStoragePreview?.fade()
  node.imgs = node.images = undefined
  node.imageIndex = null
  for (const widget of [...(node.widgets ?? [])]) {
    if (PREVIEW_WIDGETS.includes(widget.name)) {
      widget.onRemove?.()
      node.widgets.splice(node.widgets.indexOf(widget), 1)
    } else if (widget.name === PLAYER_WIDGET) widget.element?.removeAttribute("src")
  }
}

/** The last status of a run says the same in other words; frontends up to 1.49 would keep it on the node. */
function dropStatus(node) {
  const status = node.widgets?.find((widget) => widget.name === STATUS_TEXT)
  if (!status) return
  status.onRemove?.()
  node.widgets.splice(node.widgets.indexOf(status), 1)
}
