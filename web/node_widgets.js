/**
 * Adds to a node what neither the workflow nor the prompt has: buttons, elements, and values that the user chooses.
 */

export const STATUS_TEXT = "$$node-text-preview" // the frontend's widget for a running node's status
const FOREVER_OURS = { serialize: false } // neither in the workflow nor in the prompt

/** Add a button at the end of a node. */
export function addButton(node, name, label, click) {
  const button = node.addWidget("button", name, null, click, { ...FOREVER_OURS })
  button.label = label
  button.serialize = false
  return button
}

/** Move a widget of a node to the place after another one. */
export function placeAfter(node, moved, widget) {
  node.widgets.splice(node.widgets.indexOf(moved), 1)
  node.widgets.splice(node.widgets.indexOf(widget) + 1, 0, moved)
}

/** Add an element below the inputs of a node. */
export function addElement(node, name, made, options) {
  const fixed = { ...FOREVER_OURS, hideOnZoom: false, getValue: () => "", setValue: () => {} }
  node.addDOMWidget(name, name, made, { ...fixed, ...options }).serialize = false
}

/** Remove the widgets of these names. */
export function dropWidgets(node, names) {
  for (const widget of (node.widgets ?? []).filter(({ name }) => names.includes(name))) {
    widget.onRemove?.()
    node.widgets.splice(node.widgets.indexOf(widget), 1)
  }
}

/** Set a widget's value as the user would; one step for Undo. */
export function setValue(app, node, widget, value) {
  if (value === widget.value) return
  node.graph?.beforeChange?.(node)
  widget.value = value
  widget.callback?.(value, app.canvas, node)
  node.graph?.afterChange?.(node)
  node.setDirtyCanvas(true, true)
}

/** Show the values of drop-downs in the page's language; the values themselves do not change. */
export function nameChoices(node, say) {
  const known = (value) => say.choice(value) !== String(value ?? "")
  for (const widget of node.widgets ?? []) {
    const values = widget.options?.values
    const isKnown = widget.type === "combo" && Array.isArray(values) && values.some(known)
    if (isKnown) widget.options.getOptionLabel = say.choice
  }
}

/** Make a new node as wide as its title; the canvas adds the height of the title on both sides. */
export function fitTitle(node) {
  const pen = document.createElement("canvas").getContext("2d")
  pen.font = node.titleFontStyle
  const width = Math.ceil(pen.measureText(node.title).width) + 2 * LiteGraph.NODE_TITLE_HEIGHT
  if (node.size[0] < width) node.setSize([width, node.size[1]])
}

/**
 * Frontends up to 1.49 save a node's values by the index of its widgets, with gaps for ours, but read them one after
 * another: a button between two inputs would shift all values after it. So remove the gaps, as 1.58 does, and the
 * status of the last run, which 1.27 saves.
 */
export function compact(node, saved) {
  const values = saved.widgets_values
  const isKept = (widget) => widget.serialize !== false && widget.name !== STATUS_TEXT
  const kept = (node.widgets ?? []).flatMap((widget, place) => (isKept(widget) ? [place] : []))
  if (Array.isArray(values) && values.length > kept.length) saved.widgets_values = kept.map((place) => values[place])
}
