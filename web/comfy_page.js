/**
 * What our parts do to ComfyUI's page: open a workflow, show a message. Frontends 1.27 to 1.58.
 */

const SAID_MILLISECONDS = 8000

/** `app` is ComfyUI's own. */
export function pageOf(app) {
  const tabs = () => app.extensionManager?.workflow

  return {
    /** The page's own object for the tab that is shown: always the same one for a tab. */
    tab: () => tabs()?.activeWorkflow ?? undefined,
    /** The name of a tab: the path of its file below ComfyUI's folder of workflows, without the extension. */
    nameOf: (tab) => String(tab?.key ?? "").replace(/\.json$/i, ""),
    /**
     * Open a workflow of the page's form, in a tab of its own; ComfyUI shows what is missing. Resolves with the object
     * of that tab. A name alone would make 1.27 open it in place of the user's own file of this name.
     */
    async openWorkflow(workflow, name) {
      const made = tabs()?.createTemporary?.(`${name}.json`, workflow) ?? name
      await app.loadGraphData(workflow, true, true, made)
      const tab = tabs()?.activeWorkflow
      return made.path === tab?.path ? tab : undefined
    },
    /** Open a prompt of the API's form. */
    openPrompt: (prompt, name) => app.loadApiJson(prompt, name),
    /** Show a message for a while; `severity` is success, info, warn or error. */
    notify: (severity, summary, detail) => {
      const life = severity === "error" ? undefined : SAID_MILLISECONDS
      app.extensionManager?.toast?.add?.({ severity, summary, detail, life })
    },
  }
}
