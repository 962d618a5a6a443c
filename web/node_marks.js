/**
 * What a node should show between its runs: that the file it loaded is another one by now, or that its model is being
 * downloaded. Does not use ComfyUI.
 */

const LOADED = ["fetched", "unchanged"]

/** The file that a node has loaded, of the list `cloud_files` of its output, if it is a single one with a version. */
export function loadedFile(files) {
  const [file, ...others] = Array.isArray(files) ? files : []
  return file && !others.length && LOADED.includes(file.status) && file.key && file.etag ? file : null
}

/**
 * The name of a model that a node names and that is being downloaded, "" for none. `inputs` are the folder types by
 * input, `downloads` are `{type, name}`.
 */
export function awaitedModel(widgets, inputs, downloads) {
  const plain = (name) => String(name ?? "").replaceAll("\\", "/")
  for (const [input, types] of Object.entries(inputs ?? {})) {
    const value = plain(widgets?.find(({ name }) => name === input)?.value)
    if (value && downloads.some(({ type, name }) => types.includes(type) && plain(name) === value)) return value
  }
  return ""
}
