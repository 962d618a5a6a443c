/**
 * The panel Files in ComfyUI's page, as an extension: files of the bucket become load nodes, also by dragging them onto
 * the canvas. Frontends 1.27 to 1.58.
 */

import { DRAGGED, FilesTab } from "./files_tab.js"
import { loaderOf } from "./kinds.js"
import { ENVIRONMENT } from "./profile_names.js"
import { mayHaveWorkflow } from "./workflow_inside.js"

const PROFILE_NODE = "CloudStorageProfile"
const EXAMPLE = "save-and-share" // needs no model
const GAP_PIXELS = 40
const MODELS_FOLDER = /(?:^|\/)models\/([^/]+)\// // in a key: the folder of a type

/** `host` is that of host.js, with the `sidebar` of sidebar_page.js. */
export function filesExtension(host) {
  const { app, sidebar } = host
  const insert = (profile, files, at) => insertNodes(app, profile, files, at ?? middleOf(app))

  return {
    name: "comfyui-cloud-storage.files",
    setup() {
      let panel
      sidebar.add("files", {
        make: ({ say, locale }) => {
          const openWorkflow = (profile, { key }) => host.workflows.open({ profile, key })
          const further = { setUp: () => host.setup.open(), openExample: () => openExample(host) }
          const on = { insert, openWorkflow, mayHaveWorkflow, ...further }
          return (panel = new FilesTab({ server: host.server(), say, locale, on }))
        },
      })
      host.api.addEventListener("cloud_storage.files", () => panel?.lookSoon())
      const isOurs = (event) => event.dataTransfer?.types.includes(DRAGGED) && isCanvas(app, event.target)
      // Before ComfyUI's own listeners, which look for files and workflows.
      window.addEventListener("dragover", (event) => isOurs(event) && event.preventDefault(), true)
      window.addEventListener(
        "drop",
        (event) => {
          if (!isOurs(event)) return
          event.preventDefault()
          event.stopImmediatePropagation()
          const { profile, files } = JSON.parse(event.dataTransfer.getData(DRAGGED))
          insert(profile, files, app.canvas.convertEventToCanvasOffset(event))
        },
        true,
      )
    },
  }
}

/** Open the first example of this package, as ComfyUI's templates do. Throws if the server has none. */
async function openExample({ api, page, say }) {
  const folder = new URL(import.meta.url).pathname.split("/").at(-2) // is called like the package's own
  const answer = await api.fetchApi(`/workflow_templates/${folder}/${EXAMPLE}.json`)
  if (!answer.ok) throw new Error(say()("inside_none", { name: EXAMPLE }))
  await page.openWorkflow(await answer.json(), EXAMPLE)
}

function isCanvas(app, target) {
  const around = "#graph-canvas-container, .graph-canvas-container, .lg-node" // Vue nodes lie above the canvas
  return target === app.canvas.canvas || Boolean(target.closest?.(around))
}

/** The middle of what is seen of the graph. */
function middleOf(app) {
  const [x, y, width, height] = app.canvas.visible_area ?? app.canvas.ds.visible_area
  return [x + width / 2, y + height / 2]
}

/** Add a load node for each file, one below the other, with a node of the profile where it needs one. */
function insertNodes(app, profile, files, [x, y]) {
  const graph = app.canvas.graph ?? app.graph
  graph.beforeChange?.()
  const source = profile === ENVIRONMENT ? null : profileNode(graph, profile, [x, y])
  const made = []
  let top = y
  for (const { key } of files) {
    const node = LiteGraph.createNode(loaderOf(key))
    if (!node) continue
    node.pos = [x, top]
    graph.add(node)
    setWidget(app, node, "key", key)
    const type = MODELS_FOLDER.exec(`/${key}`)?.[1]
    const types = node.widgets?.find(({ name }) => name === "model_type")?.options.values
    if (type && types?.includes?.(type)) setWidget(app, node, "model_type", type)
    const input = node.inputs?.findIndex(({ name }) => name === "profile") ?? -1
    if (source && input >= 0) source.connect(0, node, input)
    top += node.size[1] + GAP_PIXELS + LiteGraph.NODE_TITLE_HEIGHT
    made.push(node)
  }
  graph.afterChange?.()
  app.canvas.selectNodes?.(made)
  app.canvas.setDirty(true, true)
}

/** A node of the graph that stands for the profile and changes nothing of it, or a new one. */
function profileNode(graph, profile, [x, y]) {
  const isIt = (node) =>
    (node.comfyClass ?? node.type) === PROFILE_NODE &&
    !node.mode &&
    !node.inputs?.some(({ link }) => link != null) &&
    node.widgets.every(({ name, value }) => {
      if (name === "profile") return value === profile
      return !["bucket", "path_prefix", "region"].includes(name) || !value
    })
  const there = graph.nodes.find(isIt)
  if (there) return there
  const node = LiteGraph.createNode(PROFILE_NODE)
  graph.add(node)
  node.pos = [x - node.size[0] - GAP_PIXELS, y]
  const widget = node.widgets.find(({ name }) => name === "profile")
  widget.value = profile
  return node
}

function setWidget(app, node, name, value) {
  const widget = node.widgets?.find((one) => one.name === name)
  if (!widget) return
  widget.value = value
  widget.callback?.(value, app.canvas, node)
}
