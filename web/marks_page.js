/**
 * Marks nodes between runs, as an extension: a Load node whose file has changed in the bucket since its run, and a
 * loader whose model is being downloaded. Frontends 1.27 to 1.58.
 */

import { isBusy } from "./model_library.js"
import { showMark } from "./node_lines.js"
import { awaitedModel, loadedFile } from "./node_marks.js"
import { STATUS_TEXT } from "./node_widgets.js"
import { profileOf } from "./wired_profile.js"

const MOST_ASKED = 20 // files of one question
const CALM_MILLISECONDS = 1500 // after the latest reason to ask

/** `host` is that of host.js, with the `library` of library_page.js. */
export function marksExtension(host) {
  const { app, api } = host
  const waiting = new Set() // loaders that are marked
  let asking

  function askSoon() {
    clearTimeout(asking)
    asking = setTimeout(ask, CALM_MILLISECONDS)
  }

  async function ask() {
    const loaded = host.ours().flatMap(([node, names]) => fileOf(node, names)).slice(0, MOST_ASKED)
    if (!loaded.length) return
    const said = await host.server().files.changed(loaded.map(({ file }) => file)).catch(() => null)
    for (const [place, { node, name, output, file }] of loaded.entries()) {
      if (!said || app.nodeOutputs?.[name] !== output) continue // it has run meanwhile
      showMark(host, node, said.changed[place] ? host.say()("mark_changed", { key: file.key }) : "")
    }
  }

  /** What a node has loaded, in a list; nothing if it names another file by now. */
  function fileOf(node, names) {
    const name = names.find((one) => app.nodeOutputs?.[one]?.cloud_files)
    const output = app.nodeOutputs?.[name]
    const loaded = loadedFile(output?.cloud_files)
    const profile = loaded && profileOf(node, host.root())
    const named = node.widgets?.find((widget) => widget.name === "key")?.value
    if (!profile || (named && named !== loaded.key)) return []
    return [{ node, name, output, file: { ...profile, key: loaded.key, etag: loaded.etag } }]
  }

  function markLoaders() {
    const { inputs } = host.loaderLists
    const downloads = [...host.library.fetches.values()].filter(isBusy)
    if (!downloads.length && !waiting.size) return
    for (const node of host.allNodes()) {
      const model = awaitedModel(node.widgets, inputs[node.comfyClass], downloads)
      if (!model && !waiting.delete(node)) continue
      if (model && node.widgets.some(({ name }) => name === STATUS_TEXT)) continue // its run says more
      if (model) waiting.add(node)
      showMark(host, node, model ? host.say()("mark_downloading", { name: model }) : "")
    }
  }

  return {
    name: "comfyui-cloud-storage.marks",
    afterConfigureGraph: askSoon,
    setup() {
      for (const event of ["execution_success", "cloud_storage.files"]) api.addEventListener(event, askSoon)
      document.addEventListener("visibilitychange", () => document.hidden || askSoon())
      host.library.others.push(markLoaders)
    },
  }
}
