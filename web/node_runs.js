/**
 * The lines and previews of our nodes during ComfyUI's runs, in ComfyUI's page; runs.js says when they change.
 */

import { dropPreviews, showLoaded } from "./node_previews.js"
import { showLines } from "./node_lines.js"
import { arrivedKeys } from "./outbox_arrivals.js"
import { followRuns, refusal } from "./runs.js"

const LINES = "cloud_storage" // the key in a node's `ui` that comfyui/results.py fills
const FILES = "cloud_files" // the same of comfyui/cloud_files.py
const PREVIEWS = "cloud_storage_pictures" // the same of nodes_load.py
const RUNS_KEPT = 1000 // for which the workflow is known
const PUT_BACK_MILLISECONDS = 300
const PUT_BACK_LOOKS = 10

/** Follow the runs of the workflow on the page. */
export function showRuns(host) {
  followRuns(
    host.api,
    {
      find: (id) => host.ours().find(([, names]) => names[0] === String(id))?.[0],
      all: () => host.ours().map(([node]) => node),
      sent: senders(host),
    },
    {
      showLines: (node, lines) => showLines(host, node, lines, true),
      outcome: (id, lines, prompt) => {
        putOut(host, id, { [LINES]: lines, images: [] }, prompt)
        for (const [node, names] of host.ours()) if (names[0] === String(id)) dropPreviews(node)
      },
      restore: (...output) => putOut(host, ...output),
      history: (prompt) => historyOf(host, prompt).catch(() => undefined), // then cached nodes do not show theirs
      say: (...words) => host.say()(...words),
    },
  )
}

/** Show what a run of a node has returned. */
export function showOutput(host, node, output) {
  if (Array.isArray(output?.[PREVIEWS])) showLoaded(host, node, output[PREVIEWS])
  if (Array.isArray(output?.[LINES])) showLines(host, node, output[LINES], true)
}

/** Say on nodes whose files waited that these have arrived; `detail` is that of the message `cloud_storage.outbox`. */
export function showArrivals(host, detail) {
  for (const [node, names] of host.ours()) {
    const output = names.map((name) => host.app.nodeOutputs?.[name]).find((each) => each?.[FILES])
    const keys = arrivedKeys(output?.[FILES], detail?.[FILES] ?? [])
    if (!keys) continue
    const say = host.say()
    output[LINES] = keys.map((key) => say("arrived", { key })) // also after another tab of the page
    showLines(host, node, output[LINES], true)
  }
}

/**
 * Switching back to a workflow's tab creates its nodes again. The frontend restores their outputs some time later,
 * without an event: so look for them a few times.
 */
export function putBack(host, looks = PUT_BACK_LOOKS) {
  for (const [node, names] of host.ours()) {
    const outputOf = (key) => names.map((name) => host.app.nodeOutputs?.[name]?.[key]).find(Array.isArray)
    if (!node.cloudStoragePreview && outputOf(PREVIEWS)) showLoaded(host, node, outputOf(PREVIEWS))
    if (!node.cloudStorageShown && outputOf(LINES)) showLines(host, node, outputOf(LINES), true)
  }
  if (looks > 1) setTimeout(() => putBack(host, looks - 1), PUT_BACK_MILLISECONDS)
}

/**
 * Returns a function: whether a run may belong to the workflow on the page. True for runs of other pages, of which
 * nobody knows. No event names the workflow of a run, so it is noted when the run is queued.
 */
function senders(host) {
  const { app, api } = host
  const shown = () => app.extensionManager?.workflow?.activeWorkflow
  const sent = new Map() // ids of runs to workflows
  const send = api.queuePrompt
  api.queuePrompt = async function (...given) {
    const workflow = shown()
    const answer = await send.apply(this, given).catch((error) => {
      showRefusals(host, error?.response?.node_errors)
      throw error
    })
    showRefusals(host, answer?.node_errors)
    if (answer?.prompt_id) sent.set(answer.prompt_id, workflow)
    if (sent.size > RUNS_KEPT) sent.delete(sent.keys().next().value)
    return answer
  }
  return (prompt) => !sent.has(prompt) || sent.get(prompt) === shown()
}

/** Say on our nodes why the server did not take the prompt: `{id: {errors: [{type, message, details}]}}`. */
function showRefusals(host, refused) {
  for (const [id, { errors }] of Object.entries(refused ?? {}))
    for (const [node, names] of errors?.length ? host.ours() : [])
      if (names[0] === id) showLines(host, node, errors.map((error) => [refusal(error), { level: "error" }]), true)
}

async function historyOf({ api }, prompt) {
  const answer = await api.fetchApi(`/history/${prompt}`)
  return (await answer.json())[prompt]
}

/** Make the frontend accept `output` as the output of a node: it keeps outputs with the workflow's tab. */
function putOut({ api }, id, output, prompt) {
  const detail = { node: String(id), display_node: String(id), output, prompt_id: prompt }
  api.dispatchEvent(new CustomEvent("executed", { detail }))
}
