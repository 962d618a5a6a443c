/**
 * Extends our nodes in ComfyUI's page, as an extension: result lines to read, open and copy; a button beside each key
 * to browse the bucket; and a button to test a profile.
 */

import { addStyles } from "./dom.js"
import { takeForeign } from "./foreign.js"
import { after, isOurs } from "./host.js"
import { addButtons } from "./node_buttons.js"
import { showLines } from "./node_lines.js"
import { putBack, showArrivals, showOutput } from "./node_runs.js"
import { compact, fitTitle, nameChoices } from "./node_widgets.js"

const VAE_INPUT = "vae"

/** `host` is that of host.js. */
export function nodesExtension(host) {
  return {
    name: "comfyui-cloud-storage",

    init: () => addStyles(), // ComfyUI waits for this; without styles the measured heights would be wrong

    beforeRegisterNodeDef(nodeType, nodeData) {
      if (!isOurs(nodeData)) return
      after(nodeType.prototype, "onNodeCreated", (node) => {
        addButtons(host, node)
        nameChoices(node, host.say())
        fitTitle(node)
      })
      for (const moment of ["onNodeCreated", "onConfigure", "onConnectionsChange"]) {
        after(nodeType.prototype, moment, (node) => settleTypes(node, nodeData.output ?? []))
      }
      after(nodeType.prototype, "onConfigure", (node, saved) => {
        const taken = takeForeign(node, saved)
        if (taken) showLines(host, node, [taken])
      })
      after(nodeType.prototype, "onExecuted", (node, output) => showOutput(host, node, output))
      after(nodeType.prototype, "onSerialize", compact)
    },

    afterConfigureGraph: () => putBack(host),

    /** What waited is in the bucket now, without a run of its node. */
    setup: () => host.api.addEventListener("cloud_storage.outbox", ({ detail }) => showArrivals(host, detail)),
  }
}

/** Sets the type of an output for which the server names two: the second if a VAE is connected, else the first. */
function settleTypes(node, given) {
  const isEncoded = node.inputs?.some((input) => input.name === VAE_INPUT && input.link != null)
  node.outputs?.forEach((output, place) => {
    const types = String(given[place] ?? "").split(",")
    if (types.length > 1) output.type = types[isEncoded ? 1 : 0]
  })
}
