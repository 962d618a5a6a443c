/**
 * What becomes of files that a user drops or pastes onto a node: which one is uploaded, into which folder.
 */

import { isOfKind } from "./kinds.js"

const FOLDER = "uploads/"
const WORKFLOW = ".json" // ComfyUI opens these, unless the node loads them

/** The folder of the bucket for a node whose input `key` has this value. */
export function folderOf(key) {
  const typed = String(key ?? "").split("%")[0].trim() // a %token% is known only when the node runs
  return typed.includes("/") ? typed.slice(0, typed.lastIndexOf("/") + 1).replace(/^\/+/, "") || FOLDER : FOLDER
}

/**
 * Of several Files, `{file}` is the first one that a node of this kind loads; `{refused}` is one that it does not load
 * if there is none; both are missing if they are for ComfyUI.
 */
export function fileFor(kind, files) {
  const all = [...files]
  const file = all.find(({ name }) => isOfKind(kind, name))
  if (file) return { file, isOneOfSeveral: all.length > 1 }
  if (!all.length || all.every(({ name }) => name.toLowerCase().endsWith(WORKFLOW))) return {}
  return { refused: all[0] }
}
