/**
 * "Save workflow to the bucket" and "Open workflow from the bucket" in ComfyUI's page, as an extension. Frontends 1.27
 * to 1.58.
 */

import { chooseWorkflow, saveWorkflow } from "./workflow_dialogs.js"
import { openWorkflowInside, showFound } from "./workflow_inside.js"
import { WorkflowVersions } from "./workflow_versions.js"

const ID = "comfyui-cloud-storage"
const SAVE = `${ID}.saveWorkflow`
const OPEN = `${ID}.openWorkflow`

/** `host` is that of host.js. */
export function workflowsOf(host) {
  const { page } = host
  const versions = new WorkflowVersions(window.sessionStorage)

  /** Note which version a tab shows. */
  function keep(profile, opened) {
    const { name, version } = opened?.found ?? {}
    if (version) versions.set(opened.tab, host.root().id, { profile, name, etag: version.etag })
    return Boolean(opened)
  }

  /** Open the workflow inside a file, `{profile, key}`. Resolves with whether it is on the canvas. Never rejects. */
  async function open(object) {
    const server = host.server()
    const isJson = object.key.toLowerCase().endsWith(".json")
    const read = isJson ? server.workflows.read : server.workflow
    return keep(object.profile, await openWorkflowInside(object, { read, say: host.say(), page }))
  }

  async function choose() {
    const say = host.say()
    const chosen = await chooseWorkflow({ server: host.server(), say, locale: host.locale() })
    if (chosen) keep(chosen.profile, await showFound(chosen.found, `${chosen.found.name}.json`, { say, page }))
  }

  async function save() {
    const say = host.say()
    const tab = page.tab()
    const { id } = host.root()
    const content = () => JSON.stringify(host.root().serialize())
    const given = { content, name: page.nameOf(tab), version: versions.get(tab, id) }
    const done = await saveWorkflow({ server: host.server(), say, locale: host.locale(), ...given })
    if (done?.open) return open(done.open)
    if (!done) return
    versions.set(tab, id, done.saved)
    const detail = say("workflow_saved_as", { name: done.saved.name, place: done.where })
    page.notify("success", say("workflow_saved_title"), detail)
  }

  return {
    open,
    extension: {
      name: `${ID}.workflows`,
      commands: [
        { id: SAVE, icon: "pi pi-cloud-upload", label: host.say()("workflow_save_title"), function: save },
        { id: OPEN, icon: "pi pi-cloud-download", label: host.say()("workflow_open_title"), function: choose },
      ],
      menuCommands: [{ path: ["File"], commands: [SAVE, OPEN] }],
    },
  }
}
