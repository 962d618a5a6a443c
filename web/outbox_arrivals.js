/**
 * Which of a node's waiting files have arrived in the bucket by themselves.
 */

/**
 * `files` is the list `cloud_files` of a node's output, `arrived` that of the message `cloud_storage.outbox`. Returns
 * the keys, if all files of the node that waited have arrived; else null.
 */
export function arrivedKeys(files, arrived) {
  const waiting = Array.isArray(files) ? files.filter(({ status, sha256 }) => status === "waiting" && sha256) : []
  if (!waiting.length) return null
  const keys = waiting.map((one) => arrived.find(({ sha256, key }) => key && sha256 === one.sha256)?.key)
  return keys.every(Boolean) ? keys : null
}
