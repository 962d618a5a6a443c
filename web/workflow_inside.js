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
 * Open the workflow inside `object`, `{...profile, key}`; `read(object)` is what asks the server for it, and `page`
 * that of comfy_page.js. Resolves as `showFound` does. Never rejects.
 */
export async function openWorkflowInside(object, { read, say, page }) {
  const file = object.key.split("/").at(-1)
  let found
  try {
    found = await read(object)
  } catch (error) {
    return refuse(file, error.message, { say, page })
  }
  return showFound(found, file, { say, page })
}

/**
 * Put on the canvas what the server has found in a file, `{workflow}` or `{prompt}` with its `name`. Resolves with
 * `{found, tab}`, the page's own object for the tab that shows it, or with null after the page has shown why it is not
 * there. Never rejects.
 */
export async function showFound(found, file, { say, page }) {
  try {
    if (found.workflow) return { found, tab: await page.openWorkflow(found.workflow, found.name) }
    await page.openPrompt(found.prompt, found.name)
    page.notify("info", say("inside_prompt"), say("inside_prompt_help"))
    return { found }
  } catch (error) {
    return refuse(file, say("inside_unreadable", { reason: error.message }), { say, page })
  }
}

function refuse(file, detail, { say, page }) {
  page.notify("warn", say("inside_none", { name: file }), detail)
  return null
}
