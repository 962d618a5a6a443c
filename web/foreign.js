/**
 * Values that a workflow of another package brings to our save nodes: that package has the same node ids, and, where
 * ours have `if_exists` and `link`, the widgets `presign` (a boolean) and `expires_hours` (a number). They are taken as
 * they are meant there, as foreign_values.py does for what comes without a page.
 */

const MIN_HOURS = 1
const MAX_HOURS = 168

/** Set the widgets of `node`, just read from `saved`; a text to show on it, or null where its values are our own. */
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
