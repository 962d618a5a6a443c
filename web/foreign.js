/**
 * Converts the values of a workflow of another package, which has the same node ids for its save nodes. Where ours have
 * `if_exists` and `link`, it has the widgets `presign` (a boolean) and `expires_hours` (a number). A prompt that comes
 * without a page is converted by saving/foreign_values.py.
 */

const MIN_HOURS = 1
const MAX_HOURS = 168

/** Convert the widgets of `node`, just read from `saved`. Returns a text for the user, null for our own workflow. */
export function takeForeign(node, saved) {
  const values = saved?.widgets_values
  const widgets = (node.widgets ?? []).filter((widget) => widget.serialize !== false)
  const place = widgets.findIndex((widget) => widget.name === "if_exists")
  if (!Array.isArray(values) || place < 0) return null
  const [presign, hours] = values.slice(place, place + 2)
  if (typeof presign !== "boolean" || typeof hours !== "number") return null
  const meant = {
    if_exists: "new name",
    link: presign ? "presigned" : "object url",
    expires_hours: Math.min(Math.max(Math.round(hours), MIN_HOURS), MAX_HOURS),
  }
  for (const widget of widgets) if (widget.name in meant) widget.value = meant[widget.name]
  const { link, expires_hours } = meant
  return `presign of another package's workflow is taken as link: ${link}, expires_hours: ${expires_hours}.`
}
