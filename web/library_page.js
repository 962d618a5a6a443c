/**
 * The library in ComfyUI's page, as an extension: the bucket's names in the lists of loaders, the panel Models of
 * the sidebar, and errors of models that a prompt needs, on their loaders. Frontends 1.27 to 1.58.
 */

import { refreshNodes } from "./host.js"
import { LoaderLists } from "./loader_lists.js"
import { ModelLibrary, isBusy } from "./model_library.js"
import { ModelsTab } from "./models_tab.js"
import { hideError, showError } from "./node_lines.js"
import { serverOf } from "./api.js"
import { texts } from "./texts.js"

const NAMES_MILLISECONDS = 5000 // for which the page may wait for the bucket's names when it starts
const CHANGED_MILLISECONDS = 400 // between the latest change of the workflow and a question about its models

/** `host` is that of host.js, with the `sidebar` of sidebar_page.js and the `setup` of setup_page.js. */
export function libraryExtension(host) {
  const { app, api, locale, sidebar } = host
  const say = (...words) => texts(locale())(...words)
  say.message = (text) => texts(locale()).message(text)
  const { models } = serverOf((path) => api.apiURL(path), say)
  const lists = new LoaderLists()
  const failed = new Set() // nodes that show an error of a model
  let tab

  const library = new ModelLibrary({
    models,
    workflow: () => (app.rootGraph ?? app.graph).serialize(),
    changed: () => {
      tab?.draw()
      sidebar.draw()
      for (const further of library.others) further()
    },
    arrived: () => refreshNodes(app),
    listed: async () => {
      if (await takeNames()) namesChanged()
    },
  })

  library.others = [] // who else draws what it knows
  host.library = library
  host.loaderLists = lists

  /** Ask for the bucket's names; resolves with whether they are others than before. */
  async function takeNames() {
    const found = await models.names().catch(() => null) // then the lists stay as they are
    if (!found || !lists.differs(found)) return false
    lists.take(found)
    return true
  }

  function namesChanged() {
    host.allNodes().forEach(label)
    refreshNodes(app)
  }

  function label(node) {
    lists.label(node.comfyClass, node.widgets, () => Boolean(window.LiteGraph?.vueNodesMode))
  }

  function extend(definitions) {
    for (const [name, definition] of Object.entries(definitions)) lists.extend(name, definition)
  }

  let changing
  function workflowChanged() {
    clearTimeout(changing)
    if (library.isWatched) changing = setTimeout(() => library.readWorkflow(), CHANGED_MILLISECONDS)
  }

  return {
    name: "comfyui-cloud-storage.models",

    /** Before the nodes are registered, so that a workflow finds its names in the lists. */
    async addCustomNodeDefs(definitions) {
      const inTime = takeNames()
      const isLate = await Promise.race([inTime.then(() => false), after(NAMES_MILLISECONDS).then(() => true)])
      if (isLate) inTime.then((isNew) => isNew && namesChanged())
      extend(definitions)
    },

    beforeRegisterNodeDef(_nodeType, definition) {
      lists.extend(definition.name, definition)
    },

    nodeCreated: label,

    /** The user pressed R: ComfyUI has its own lists anew. */
    async refreshComboInNodes(definitions) {
      if (await takeNames()) extend(definitions)
    },

    afterConfigureGraph: workflowChanged,

    setup() {
      sidebar.add("models", {
        make: (how) =>
          (tab = new ModelsTab({ library, locate: (ids) => locate(app, ids), setup: host.setup, ...how })),
        count: () => [...library.fetches.values()].filter(isBusy).length,
      })
      api.addEventListener("graphChanged", workflowChanged)
      api.addEventListener("cloud_storage.model_error", ({ detail }) => {
        for (const node of (detail.nodes ?? []).flatMap((id) => host.nodesNamed(id))) {
          failed.add(node)
          showError(host, node, detail.message)
        }
      })
      api.addEventListener("execution_start", () => {
        for (const node of failed) hideError(node)
        failed.clear()
      })
      host.setup.whenSaved(async () => {
        await models.refresh().catch(() => null) // the tab says what is wrong
        library.look()
      })
      library.look() // a download may be running since before the page was loaded
    },
  }
}

function after(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds))
}

/** Select nodes and bring the first one into view; of a node in a subgraph, the node around it. */
function locate(app, ids) {
  const graph = app.rootGraph ?? app.graph
  const nodes = ids.map((id) => graph.getNodeById(Number(String(id).split(":")[0]))).filter(Boolean)
  if (!nodes.length) return
  if (app.canvas.graph !== graph) app.canvas.setGraph?.(graph)
  app.canvas.selectNodes?.(nodes)
  app.canvas.centerOnNode?.(nodes[0])
  app.canvas.setDirty(true, true)
}
