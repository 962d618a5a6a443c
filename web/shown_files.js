/**
 * Which files a node shows: what ComfyUI's page can fetch with /view.
 */

const TYPES = ["output", "temp", "input"]
const VIEW = /\/view$/

/**
 * The files of a node's output in the frontend, `{images: […], audio: […], …}`, whatever the lists are called; or else
 * those of its images. Each `{filename, subfolder, type}`, each once.
 */
export function filesOf(output, images) {
  const listed = Object.values(output ?? {}).filter(Array.isArray).flat()
  const named = listed.filter(isFile).map(({ filename, subfolder, type }) => ({ filename, subfolder, type }))
  const found = named.length ? named : (images ?? []).flatMap(({ src }) => fileOf(src))
  const unique = new Map(found.map(({ filename, subfolder = "", type }) => {
    const file = { filename, subfolder: String(subfolder ?? ""), type }
    return [JSON.stringify(file), file]
  }))
  return [...unique.values()]
}

function isFile(each) {
  return Boolean(each) && typeof each.filename === "string" && each.filename !== "" && TYPES.includes(each.type)
}

/** The file of an address of /view, in a list; an empty list for any other address. */
function fileOf(address) {
  if (!URL.canParse(address ?? "", window.location.href)) return []
  const { pathname, searchParams, origin } = new URL(address, window.location.href)
  const file = Object.fromEntries(["filename", "subfolder", "type"].map((name) => [name, searchParams.get(name) ?? ""]))
  return origin === window.location.origin && VIEW.test(pathname) && isFile(file) ? [file] : []
}
