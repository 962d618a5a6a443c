/**
 * Updates the lines of our nodes during ComfyUI's runs: lines of an earlier run look old while another run lasts, a
 * running node says so, a failed node says why, and a cached node shows its lines again.
 */

/**
 * `nodes` is the workflow on the page: `find(id)` returns our node that the server calls `id`, `all()` returns all of
 * ours, `sent(prompt)` is whether the run may be of this workflow: nodes of another tab may have the same ids.
 * `showLines(node, lines)` shows lines on a node. `outcome(id, lines, prompt)` makes them the node's output in the
 * frontend, without images; `restore(id, output, prompt)` does it with a whole output. `history(prompt)` resolves with
 * what the server has of a run, or with nothing. `say` returns texts.
 */
export function followRuns(api, nodes, { showLines, outcome, restore, history, say }) {
  let run = null // {prompt, running, cached, finished}: ids of nodes
  const on = (kind, handle) => api.addEventListener(kind, ({ detail }) => handle(detail))
  const find = (id) => (nodes.sent(run?.prompt) ? nodes.find(id) : undefined)

  on("execution_start", ({ prompt_id }) => {
    run = { prompt: prompt_id, running: new Set(), cached: [], finished: new Set() }
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
    if (node?.cloudStorageLines && node.cloudStorageHasRun) showLines(node, [say("running")])
  })

  on("executed", (detail) => {
    const id = String(detail.display_node ?? detail.node)
    run?.running.delete(id)
    run?.finished.add(id)
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

  /** Show on the nodes that had started and did not finish that they did not. */
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
    const unseen = ended?.cached.filter((id) => !ended.finished.has(String(id))) ?? []
    if (!unseen.some(lacksLines)) return
    const outputs = (await history(ended.prompt))?.outputs ?? {}
    for (const id of unseen) if (outputs[id] && lacksLines(id)) restore(id, outputs[id], ended.prompt)
  }
}

/** The text of an error with which the server refuses a node: in our own words where it was our check. */
export function refusal({ type, message, details }) {
  const own = type === "custom_validation_failed" && String(details ?? "").split(" - ").slice(1).join(" - ")
  return own || [message, details].filter(Boolean).join(": ")
}

function messageOf(detail) {
  return String(detail.exception_message ?? "").trim() || String(detail.exception_type ?? "")
}
