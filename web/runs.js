/**
 * Updates the lines of our nodes during ComfyUI's runs: lines of an earlier run look old while another run lasts, a
 * running node says so, a failed node says why, and a cached node shows its lines again.
 */

/**
 * `nodes` knows the graph on the page: `find(id)` gives our node that the server calls `id`, `all()` gives all of ours,
 * `sent(prompt)` tells whether it may be the one that a run is of: nodes of another tab may have the same ids.
 * `tell(node, lines)` shows lines on one. `outcome(id, lines, prompt)` has the frontend take lines for what a node put
 * out, without a picture, `restore(id, output, prompt)` the same for a whole output; `history(prompt)` resolves with
 * what the server keeps of a run, or with nothing. `say` gives texts.
 */
export function followRuns(api, nodes, { tell, outcome, restore, history, say }) {
  let run = null // {prompt, running, cached, told}: ids of nodes
  const on = (kind, handle) => api.addEventListener(kind, ({ detail }) => handle(detail))
  const find = (id) => (nodes.sent(run?.prompt) ? nodes.find(id) : undefined)

  on("execution_start", ({ prompt_id }) => {
    run = { prompt: prompt_id, running: new Set(), cached: [], told: new Set() }
    if (nodes.sent(prompt_id)) for (const node of nodes.all()) node.cloudStorageLines?.age(node.cloudStorageHasRun)
  })

  on("execution_cached", (detail) => {
    if (run) run.cached = detail.nodes ?? []
    for (const id of detail.nodes ?? []) find(id)?.cloudStorageLines?.age(false)
  })

  on("executing", (detail) => {
    const id = detail && typeof detail === "object" ? (detail.display_node ?? detail.node) : detail
    if (id == null) return end()
    const node = find(id)
    run?.running.add(String(id))
    if (node?.cloudStorageLines && node.cloudStorageHasRun) tell(node, [say("running")])
  })

  on("executed", (detail) => {
    const id = String(detail.display_node ?? detail.node)
    run?.running.delete(id)
    run?.told.add(id)
  })

  on("execution_error", (detail) => {
    run?.running.delete(String(detail.node_id))
    const node = nodes.sent(detail.prompt_id) && nodes.find(detail.node_id)
    // A node of another workflow, on another page, may have the same id.
    const isSame = node && (node.comfyClass ?? node.type) === detail.node_type
    if (isSame) outcome(detail.node_id, [[messageOf(detail), { level: "error" }]], detail.prompt_id)
    stop(detail.prompt_id)
  })

  on("execution_interrupted", (detail) => stop(detail.prompt_id))

  /** Nodes that had started and did not finish say so. */
  function stop(prompt) {
    for (const id of run?.running ?? [])
      if (find(id)?.cloudStorageLines) outcome(id, [say("unfinished")], prompt)
    run?.running.clear()
  }

  /** Cores up to 0.3 do not send the outputs of cached nodes again if no node after them runs. */
  async function end() {
    const ended = run
    run = null
    const lacksLines = (id) => nodes.sent(ended.prompt) && nodes.find(id) && !nodes.find(id).cloudStorageLines
    const untold = ended?.cached.filter((id) => !ended.told.has(String(id))) ?? []
    if (!untold.some(lacksLines)) return
    const outputs = (await history(ended.prompt))?.outputs ?? {}
    for (const id of untold) if (outputs[id] && lacksLines(id)) restore(id, outputs[id], ended.prompt)
  }
}

function messageOf(detail) {
  return String(detail.exception_message ?? "").trim() || String(detail.exception_type ?? "")
}
