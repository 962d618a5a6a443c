/**
 * Finds the profile that a node will use: the node that is wired to its input `profile` in the graph on the page.
 */

import { ENVIRONMENT } from "./profile_names.js"

const PROFILE_NODE = "CloudStorageProfile"
const PROFILE_INPUT = "profile"
const SETTINGS = ["profile", "provider", "bucket", "path_prefix", "region"]
const FROM_PROFILE = "(from profile)" // as settings.FROM_PROFILE: overrides nothing
const NEVER = 2 // modes of a node: it does not run,
const BYPASSED = 4 // or is left out; both leave the input without a value
const SUBGRAPH_INPUT = -10 // the origin of links that come into a subgraph from outside
const MAX_STEPS = 50

/** The settings for the routes; null if they are known only when the node runs. `root` is the outermost graph. */
export function profileOf(node, root) {
  if (classOf(node) === PROFILE_NODE) return settingsOf(node)
  const source = wired(node, PROFILE_INPUT, root)
  if (source === undefined) return { profile: ENVIRONMENT }
  return source && classOf(source) === PROFILE_NODE ? settingsOf(source) : null
}

/**
 * The profile for the user. `used` is the name of the profile that the server used, undefined before it has answered:
 * "(env vars)" may also stand for the default profile of profiles.json.
 */
export function titleOf({ profile, ...others }, used) {
  const name = used ?? (profile === ENVIRONMENT ? undefined : profile)
  return [name, ...Object.values(others)].filter(Boolean).join(" · ")
}

function settingsOf(node) {
  const isWired = (input) => SETTINGS.includes(input.widget?.name ?? input.name) && input.link != null
  if (node.inputs?.some(isWired)) return null
  const found = {}
  for (const widget of node.widgets ?? []) {
    const value = String(widget.value ?? "").trim()
    if (SETTINGS.includes(widget.name) && value && value !== FROM_PROFILE) found[widget.name] = value
  }
  return found
}

/** The node that is wired to an input: undefined if there is none or it does not run, null if it is unknown. */
function wired(node, name, root) {
  let graph = node.graph
  let input = node.inputs?.find((each) => each.name === name)
  for (let step = 0; step < MAX_STEPS; step++) {
    if (!input || input.link == null) return undefined
    const id = input.link
    const link = graph.getLink?.(id) ?? graph.links?.get?.(id) ?? graph.links?.[id] // by the frontend's version
    if (!link) return undefined
    if (Number(link.origin_id) === SUBGRAPH_INPUT) {
      const outer = instanceOf(graph, root)
      if (!outer) return null
      graph = outer.graph
      input = outer.inputs?.[link.origin_slot]
      continue
    }
    const source = graph.getNodeById(link.origin_id)
    if (!source || source.mode === NEVER || source.mode === BYPASSED) return undefined
    if (classOf(source) !== "Reroute") return source
    input = source.inputs?.[0]
  }
  return null
}

/** The node of a subgraph in the graph around it; the first one if there are several. */
function instanceOf(subgraph, graph, depth = 0) {
  for (const node of graph?.nodes ?? []) {
    if (!node.subgraph) continue
    if (node.subgraph === subgraph || node.subgraph.id === subgraph.id) return node
    const deeper = depth < MAX_STEPS && instanceOf(subgraph, node.subgraph, depth + 1)
    if (deeper) return deeper
  }
  return null
}

function classOf(node) {
  return node.comfyClass ?? node.type
}
