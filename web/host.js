/**
 * What our parts know of ComfyUI's page: its language, its server, its nodes. Frontends 1.27 to 1.58.
 */

import { serverOf } from "./api.js"
import { pageOf } from "./comfy_page.js"
import { texts } from "./texts.js"
import { openWorkflowInside } from "./workflow_inside.js"

const CATEGORY = "cloud_storage"

/** `app` and `api` are ComfyUI's own. */
export function hostOf(app, api) {
  const host = {
    app,
    api,
    locale: () => app.extensionManager?.setting?.get?.("Comfy.Locale") || navigator.language,
    /** The function that gives texts in the page's language. */
    say: () => texts(host.locale()),
    /** Requests to our routes. */
    server: () => serverOf((path) => api.apiURL(path), host.say()),
    page: pageOf(app),
    /** Open the workflow inside an object, `{...profile, key}`; resolves with whether it is on the canvas. */
    openWorkflow: async (object) =>
      Boolean(await openWorkflowInside(object, { read: host.server().workflow, say: host.say(), page: host.page })),
    /** The outermost graph. */
    root: () => app.rootGraph ?? app.graph,
    /** All nodes on the page with their names, as of `namedNodes`. */
    named: () => [...namedNodes(host.root())],
    /** Our nodes among them. */
    ours: () => host.named().filter(([node]) => isOurs(node.constructor.nodeData)),
    allNodes: () => host.named().map(([node]) => node),
    /** The nodes that the server calls `id`. */
    nodesNamed: (id) => host.named().flatMap(([node, names]) => (names[0] === String(id) ? [node] : [])),
  }
  return host
}

/** Whether a node's definition is one of ours. */
export function isOurs(nodeData) {
  return nodeData?.category?.split("/")[0] === CATEGORY
}

/**
 * Yield each node of a graph and its subgraphs, with the names that the frontend may use for its outputs: in a
 * subgraph, the ids of the nodes around it and its own, `3:2`, or the subgraph's id and its own, `6515871a-…:2`.
 */
function* namedNodes(graph, path = []) {
  for (const node of graph?.nodes ?? []) {
    const ids = [...path, node.id]
    yield [node, [ids.join(":"), ...(path.length ? [`${graph.id}:${node.id}`] : [])]]
    if (node.subgraph) yield* namedNodes(node.subgraph, ids)
  }
}

/** Have ComfyUI read the lists of its nodes again; later frontends also look again which models are missing. */
export async function refreshNodes(app) {
  const refresh = app.refreshMissingModels ?? app.reloadNodeDefs ?? app.refreshComboInNodes
  try {
    await refresh?.call(app)
  } catch (error) {
    console.warn("comfyui-cloud-storage: the lists of nodes could not be refreshed", error)
  }
}

/** Call `further(node, ...arguments)` after a method of a node's class or a widget; the method keeps its result. */
export function after(prototype, name, further) {
  const own = prototype[name]
  prototype[name] = function (...given) {
    const result = own?.apply(this, given)
    further(this, ...given)
    return result
  }
}
