/**
 * The names of the server's profiles, as the list of a Cloud Storage Profile node has them. It is the server's: a name
 * alone says nothing of a bucket or a key.
 */

export const ENVIRONMENT = "(env vars)" // as profiles_file.ENVIRONMENT: what nodes use without a profile node
const PROFILE_NODE = "CloudStorageProfile"

/** An empty list where the node is not known. */
export function profileNames(definition = window.LiteGraph?.registered_node_types?.[PROFILE_NODE]?.nodeData) {
  const [type, options] = { ...definition?.input?.required, ...definition?.input?.optional }.profile ?? []
  const values = Array.isArray(type) ? type : options?.options
  return Array.isArray(values) ? values.map(String) : []
}
