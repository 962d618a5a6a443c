/**
 * Opens the workflow inside a file of the bucket on the canvas. Does not use ComfyUI itself: see comfy_page.js.
 */

// Extensions of files that may have a workflow inside: see media/workflow_reader.py
const ENDINGS = [
  ...[".png", ".webp", ".jpg", ".jpeg", ".mp4", ".mov", ".m4v", ".webm", ".mkv"],
  ...[".flac", ".mp3", ".ogg", ".opus", ".glb", ".json", ".safetensors", ".latent"],
]

/** Whether a file may have a workflow inside, by its name. */
export function mayHaveWorkflow(key) {
  return ENDINGS.some((ending) => key.toLowerCase().endsWith(ending))
}

/**
 * `object` is `{...profile, key}`, as `server.open` takes it; `page` is that of comfy_page.js. Resolves with whether
 * the workflow is on the canvas; if it is not, the page has shown the reason. Never rejects.
 */
export async function openWorkflowInside(object, { server, say, page }) {
  const file = object.key.split("/").at(-1)
  const refuse = (detail) => {
    page.notify("warn", say("inside_none", { name: file }), detail)
    return false
  }
  let found
  try {
    found = await server.workflow(object)
  } catch (error) {
    return refuse(error.message)
  }
  try {
    if (found.workflow) await page.openWorkflow(found.workflow, found.name)
    else {
      await page.openPrompt(found.prompt, found.name)
      page.notify("info", say("inside_prompt"), say("inside_prompt_help"))
    }
  } catch (error) {
    return refuse(say("inside_unreadable", { reason: error.message }))
  }
  return true
}
