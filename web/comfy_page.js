/**
 * What our parts do to ComfyUI's page: open a workflow, show a message. Frontends 1.27 to 1.58.
 */

const SAID_MILLISECONDS = 8000

/** `app` is ComfyUI's own. */
export function pageOf(app) {
  return {
    /** Open a workflow of the page's form, in a tab of its own; ComfyUI shows what is missing. */
    openWorkflow: (workflow, name) => app.loadGraphData(workflow, true, true, name),
    /** Open a prompt of the API's form. */
    openPrompt: (prompt, name) => app.loadApiJson(prompt, name),
    /** Show a message for a while; `severity` is success, info, warn or error. */
    notify: (severity, summary, detail) => {
      const life = severity === "error" ? undefined : SAID_MILLISECONDS
      app.extensionManager?.toast?.add?.({ severity, summary, detail, life })
    },
  }
}
