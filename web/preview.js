/**
 * Previews of the files that a node will load or has loaded, with their names and true sizes.
 *
 * They are drawn here and not by ComfyUI: a thumbnail that a node returns as one of its images is offered as a
 * result in the assets, by Save Image and Copy Image, and to the Mask Editor, whose mask no node of ours could use.
 */

import { button, element, icon } from "./dom.js"

/**
 * Make an element; `show` replaces its images, each `{address, title, detail, action}`. Without address: an icon.
 * `action` is a button below it, `{label, click}`.
 */
export function previewElement() {
  const made = element("div", { class: "cs-preview" })
  let kept = []
  return {
    element: made,
    show(images) {
      const gone = kept.filter((address) => !images.some((one) => one.address === address))
      kept = images.map((one) => one.address).filter((address) => address?.startsWith("blob:"))
      made.replaceChildren(...images.map(figure))
      made.classList.remove("cs-stale")
      gone.forEach((address) => URL.revokeObjectURL(address))
    },
    /** The images no longer match the node's inputs. */
    fade: () => made.classList.add("cs-stale"),
  }
}

function figure({ address, title, detail, action }) {
  const image = address ? element("img", { src: address, alt: title ?? "", draggable: "false" }) : icon("file")
  const lines = [title && element("div", { class: "cs-title", title }, title), element("div", {}, detail)]
  if (action) lines.push(button(action.label, action.click, "cs-bare cs-action"))
  return element("figure", {}, image, element("figcaption", {}, ...lines.filter(Boolean)))
}
