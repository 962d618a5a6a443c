/**
 * Pictures of the files that a node will load or has loaded, with their names and true sizes.
 *
 * They are drawn here and not by ComfyUI: a thumbnail that a node gives as one of its images is offered as a result
 * in the assets, by Save Image and Copy Image, and to the Mask Editor, whose mask no node of ours could take.
 */

import { element, icon } from "./dom.js"

/** `show` takes `{address, title, detail}` each; without an address a drawing of a file stands for the picture. */
export function previewElement() {
  const made = element("div", { class: "cs-preview" })
  let kept = []
  return {
    element: made,
    show(pictures) {
      const gone = kept.filter((address) => !pictures.some((one) => one.address === address))
      kept = pictures.map((one) => one.address).filter((address) => address?.startsWith("blob:"))
      made.replaceChildren(...pictures.map(figure))
      made.classList.remove("cs-stale")
      gone.forEach((address) => URL.revokeObjectURL(address))
    },
    /** The pictures no longer match the node's inputs. */
    fade: () => made.classList.add("cs-stale"),
  }
}

function figure({ address, title, detail }) {
  const picture = address ? element("img", { src: address, alt: title ?? "", draggable: "false" }) : icon("file")
  const lines = [title && element("div", { class: "cs-title", title }, title), element("div", {}, detail)]
  return element("figure", {}, picture, element("figcaption", {}, ...lines.filter(Boolean)))
}
