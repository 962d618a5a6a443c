/**
 * The tools above a list of files: search, kind, order, with or without subfolders, as a grid or as rows. Its `buttons`
 * may be shown elsewhere.
 */

import { button, element, icon } from "./dom.js"

const TYPING_MILLISECONDS = 250 // between the last letter and the search
const ORDERS = {
  newest: { text: "sort_newest" },
  oldest: { text: "files_oldest" },
  name: { text: "sort_name" },
  largest: { text: "sort_largest" },
}

export class FileTools {
  /**
   * `kinds` are like FILE_KINDS, `asked` is what FileList was asked. `on` has `searched()`, `changed(asked)`,
   * `refresh()`, `layOut()`, and `left(isDown)` when Enter or the arrow down leaves the search.
   */
  constructor({ say, kinds, asked, on }) {
    this.search = element("input", {
      type: "search",
      placeholder: say("files_search"),
      "aria-label": say("files_search"),
      spellcheck: "false",
      input: () => {
        clearTimeout(this.typing)
        this.typing = setTimeout(on.searched, TYPING_MILLISECONDS)
      },
      keydown: (event) => {
        const isLeft = event.key === "ArrowDown" || event.key === "Enter"
        if (event.isComposing || !(isLeft || (event.key === "Escape" && this.search.value))) return
        event.preventDefault()
        if (isLeft) return on.left(event.key === "ArrowDown")
        this.search.value = ""
        on.searched()
      },
    })
    const choice = (text, rows, change) => {
      const options = Object.entries(rows).map(([value, row]) => element("option", { value }, say(row.text)))
      return element("select", { class: "cs-field", "aria-label": say(text), change }, ...options)
    }
    const tool = (text, shape, click) => {
      const label = say(text)
      return button(icon(shape), click, "cs-bare", { "aria-label": label, title: label })
    }
    this.kind = choice("kind", kinds, () => {
      const { endings = [], without } = kinds[this.kind.value]
      on.changed({ endings: endings.join(), without: without ? "1" : "" })
    })
    this.kind.hidden = Object.keys(kinds).length < 2
    const order = choice("sort", ORDERS, () => on.changed({ order: order.value }))
    order.value = asked.order
    const flat = tool("files_flat", "folder", () => {
      press(flat, flat.getAttribute("aria-pressed") !== "true")
      on.changed({ flat: flat.getAttribute("aria-pressed") === "true" ? "1" : "" })
    })
    press(flat, Boolean(asked.flat))
    this.look = tool("files_rows", "rows", on.layOut)
    this.reload = tool("files_refresh", "reload", on.refresh)
    this.buttons = [flat, this.look, this.reload]
    const field = element("label", { class: "cs-models-search" }, icon("search"), this.search)
    this.element = element(
      "div",
      { class: "cs-files-head" },
      element("div", { class: "cs-search-row" }, field, this.reload),
      element("div", { class: "cs-files-tools" }, this.kind, order, flat, this.look),
    )
  }

  /** The text of the search; a change that is waiting for the next letter is not reported any more. */
  get text() {
    clearTimeout(this.typing)
    return this.search.value.trim()
  }

  /** Show whether the list is being made, and whether it has rows. */
  draw(isListing, isRows) {
    this.reload.disabled = isListing
    this.reload.classList.toggle("cs-turning", isListing)
    press(this.look, isRows)
  }
}

function press(button, isPressed) {
  button.setAttribute("aria-pressed", String(isPressed))
}
