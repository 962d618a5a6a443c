/**
 * The Models tab: the models of the open workflow, downloads, and everything that the buckets of the library have.
 *
 * Draws what model_library.js knows, and does not use ComfyUI. A panel of cloud_tab.js: the element is made once, and
 * shown again each time that the panel is opened.
 */

import { button, dateOf, element, icon, patch, sizeOf } from "./dom.js"
import { HERE, IN_BUCKET, MISSING, isBusy, keyOf } from "./model_library.js"
import { RowList } from "./row_list.js"
import { SidebarPlace, keepKeys } from "./sidebar_place.js"

const ROW_PIXELS = 46
const ICONS = { [HERE]: "here", [IN_BUCKET]: "cloud", [MISSING]: "missing" }
const ORDER = [IN_BUCKET, MISSING, HERE] // what can be done something about comes first

const HOW = { "base name": "models_by_base", hash: "models_by_hash" } // a model was found
const WORDS = { [HERE]: "models_here", [IN_BUCKET]: "models_in_bucket", [MISSING]: "models_missing" }

// What is said where there is nothing to list: a drawing, a title and a text
const NOTHING = {
  off: ["cloud", "models_off", "models_off_help"],
  loading: ["reload", "models_loading", "models_loading_help"],
  listing: ["reload", "models_listing", "models_listing_help"],
  none: ["cloud", "models_none", "models_none_help"],
}

let numbered = 0 // makes the ids of elements unique

/** `locate(nodes)` shows nodes of the workflow, by their ids; `setup` is that of setup_page.js. */
export class ModelsTab {
  constructor({ library, say, locale, locate, setup }) {
    Object.assign(this, { library, say, locale, locate, setup })
    this.failures = new Map() // messages by key: why a download could not be started
    this.build()
  }

  /** Show the tab in `place`, in which nothing else is left. */
  open(place) {
    if (!this.place.take(place)) return
    this.rows.watch()
    this.draw()
    this.library.watch()
  }

  close() {
    if (!this.place.leave()) return
    this.rows.rest()
    this.library.rest()
  }

  // ---------------------------------------------------------------- the elements

  build() {
    const { say } = this
    this.reload = button(icon("reload"), () => this.run(() => this.library.refresh()), "cs-bare", {
      "aria-label": say("models_refresh"),
      title: say("models_refresh"),
    })
    this.tools = [this.reload]
    this.search = element("input", {
      type: "search",
      placeholder: say("models_search"),
      "aria-label": say("models_search"),
      spellcheck: "false",
      input: () => this.draw(),
      keydown: (event) => {
        if (event.isComposing || event.key !== "ArrowDown") return
        event.preventDefault()
        this.rows.element.focus()
      },
    })
    this.notice = element("div", { class: "cs-models-notice", role: "alert" })
    this.empty = element("div", { class: "cs-models-empty" })
    this.workflow = this.section("models_workflow")
    this.getAll = button("", () => this.getMissing(), "cs-primary")
    this.workflow.tools.append(this.getAll)
    this.downloads = this.section("models_downloads")
    const clear = button(say("models_clear"), () => this.run(() => this.library.dismiss()), "cs-bare")
    this.downloads.tools.append(clear)
    this.bucket = this.section("models_bucket")
    this.body = element("div", { class: "cs-models-body" })
    this.rows = new RowList({
      scroller: this.body,
      rowHeight: ROW_PIXELS,
      label: say("models_bucket"),
      keyOf,
      draw: (model) => this.catalogueRow(model),
      use: (model) => this.use(model),
    })
    this.bucket.list.replaceWith(this.rows.element)
    this.body.append(
      this.notice,
      this.empty,
      this.workflow.element,
      this.downloads.element,
      this.bucket.element,
    )
    this.footer = element("footer", { class: "cs-models-footer" })
    this.status = element("output", { class: "cs-unseen" })
    this.element = element(
      "section",
      { class: "cs-models", "aria-label": say("models_title") },
      element(
        "div",
        { class: "cs-search-row" },
        element("label", { class: "cs-models-search" }, icon("search"), this.search),
        this.reload,
      ),
      this.body,
      this.footer,
      this.status,
    )
    keepKeys(this.element)
    this.place = new SidebarPlace(this.element, () => this.close())
  }

  section(text) {
    const id = `cs-models-${++numbered}`
    const detail = element("span", { class: "cs-models-detail" })
    const tools = element("span", { class: "cs-models-tools" })
    const list = element("ul", { class: "cs-models-list", "aria-labelledby": id })
    const heading = element("div", { class: "cs-models-heading" }, element("h3", { id }, this.say(text)), detail, tools)
    return { detail, tools, list, element: element("section", { "aria-labelledby": id }, heading, list) }
  }

  // ---------------------------------------------------------------- drawing

  /** Draw what has changed; rows in which the user is keep their focus. */
  draw() {
    if (!this.place.isTaken) return
    const { library, say } = this
    const { state } = library
    const isOff = state?.mode === "off"
    this.reload.disabled = isOff || Boolean(state?.is_listing)
    this.reload.classList.toggle("cs-turning", Boolean(state?.is_listing))
    this.drawNotice()
    this.drawEmpty(isOff)
    this.search.disabled = isOff
    for (const { element: part } of [this.workflow, this.bucket]) part.hidden = isOff || !state
    const inWorkflow = this.drawWorkflow()
    this.drawDownloads(inWorkflow)
    if (!isOff) this.drawCatalogue()
    this.drawFooter(isOff)
  }

  drawNotice() {
    const { library } = this
    const messages = [library.error, library.state?.error, this.failures.get("")].filter(Boolean)
    const shown = messages.map((message) => this.say.message(message)).join("\n")
    if (this.notice.textContent !== shown) this.notice.textContent = shown
  }

  drawEmpty(isOff) {
    const { library, say } = this
    const { state, catalogue, error } = library
    const isFirst = Boolean(state?.is_listing && !state.listed)
    const isEmpty = catalogue && !catalogue.length && !state.error && !this.allModels().length
    const what = isOff ? "off" : isFirst ? "listing" : !state && !error ? "loading" : isEmpty ? "none" : ""
    if (this.empty.dataset.what === what) return
    this.empty.dataset.what = what
    if (!what) return this.empty.replaceChildren()
    const [shape, title, text] = NOTHING[what]
    this.empty.replaceChildren(icon(shape), element("h3", {}, say(title)), element("p", {}, say(text)))
    if (what === "off") this.offerSetup()
  }

  /** A button to set up a bucket, if there is none. */
  async offerSetup() {
    if (!this.setup || (await this.setup.isConfigured()) || this.empty.dataset.what !== "off") return
    this.empty.append(button(this.say("setup_title"), () => this.setup.open(), "cs-primary"))
  }

  drawWorkflow() {
    const { library, say } = this
    const named = library.named ?? []
    const counts = Object.fromEntries(ORDER.map((state) => [state, named.filter((one) => one.state === state).length]))
    const shown = named.filter((one) => this.isFound(one)).sort((one, other) => place(one) - place(other))
    this.workflow.element.hidden ||= !library.named
    this.workflow.detail.textContent = named.length ? say("models_counts", countsOf(counts)) : say("models_unnamed")
    const wanted = this.wanted()
    const bytes = wanted.reduce((sum, { model }) => sum + model.size, 0)
    this.getAll.hidden = !wanted.length
    this.getAll.textContent = say("models_get_all", { size: sizeOf(bytes, this.locale) })
    replaceRows(this.workflow.list, shown.map((one) => [keyOf(one), this.namedRow(one)]))
    return new Set(named.map(keyOf))
  }

  /** The models of the workflow that can be downloaded and are not being downloaded. */
  wanted() {
    const named = this.library.named ?? []
    return named.filter((one) => one.state === IN_BUCKET && !isBusy(this.library.fetches.get(keyOf(one))))
  }

  drawDownloads(inWorkflow) {
    const fetches = [...this.library.fetches].filter(([key, fetch]) => !inWorkflow.has(key) && fetch.status !== "done")
    this.downloads.element.hidden = !fetches.length
    this.downloads.tools.hidden = !fetches.some(([, fetch]) => !isBusy(fetch))
    replaceRows(this.downloads.list, fetches.map(([key, fetch]) => [key, this.fetchRow(fetch)]))
    const busy = [...this.library.fetches.values()].filter(isBusy).length
    const text = busy ? this.say(busy === 1 ? "models_running_one" : "models_running", { count: busy }) : ""
    if (this.status.textContent !== text) this.status.textContent = text
  }

  drawCatalogue() {
    const { library, say } = this
    const all = this.allModels()
    const found = all.filter((model) => this.isFound(model))
    this.bucket.element.hidden ||= !library.catalogue || !all.length
    this.bucket.detail.textContent =
      found.length === all.length
        ? say(all.length === 1 ? "models_count_one" : "models_count", { count: this.number(all.length) })
        : say("models_found", { count: this.number(found.length), total: this.number(all.length) })
    this.rows.show(found)
  }

  /** The catalogue, and the copies under another name, or that no bucket has any more. */
  allModels() {
    const { catalogue, copies } = this.library
    if (this.listed && this.listed.catalogue === catalogue && this.listed.copies === copies) return this.listed.all
    const known = new Set((catalogue ?? []).map(keyOf))
    const others = [...copies.values()].filter((copy) => !known.has(keyOf(copy)))
    const all = [...(catalogue ?? []), ...others.map((copy) => ({ ...copy, here: true }))]
    if (others.length) all.sort((one, other) => (keyOf(one) < keyOf(other) ? -1 : 1))
    this.listed = { catalogue, copies, all }
    this.searchable = new Map(all.map((model) => [keyOf(model), `${model.type}/${model.name}`.toLowerCase()]))
    return all
  }

  isFound(model) {
    const words = this.search.value.toLowerCase().split(/\s+/).filter(Boolean)
    if (!words.length) return true
    const text = this.searchable?.get(keyOf(model)) ?? `${model.type}/${model.name}`.toLowerCase()
    return words.every((word) => text.includes(word))
  }

  drawFooter(isOff) {
    const { library, say, locale } = this
    const { state, room } = library
    const parts = []
    if (state?.listed && !isOff) parts.push(say("models_listed", { time: dateOf(state.listed, locale) }))
    if (room) {
      const sizes = Object.fromEntries(Object.entries(room).map(([name, bytes]) => [name, sizeOf(bytes ?? 0, locale)]))
      parts.push(say(room.budget === null ? "models_room" : "models_room_budget", sizes))
    }
    const text = parts.join("\n")
    if (this.footer.textContent !== text) this.footer.textContent = text
    this.footer.hidden = !text
  }

  number(count) {
    return new Intl.NumberFormat(this.locale).format(count)
  }

  // ---------------------------------------------------------------- rows

  /** A model of the workflow. */
  namedRow(named) {
    const { say, library } = this
    const fetch = library.fetches.get(keyOf(named))
    const details = [named.type, ...(named.model ? [sizeOf(named.model.size, this.locale)] : [])]
    if (!isBusy(fetch)) details.push(say(WORDS[named.state]))
    if (named.matched_by in HOW)
      details.push(say("models_as", { name: named.model.name, how: say(HOW[named.matched_by]) }))
    const name = element(
      "button",
      { type: "button", class: "cs-model-name", click: (event) => this.locate(itemOf(event).nodes), title: named.name },
      named.name,
    )
    return this.rowOf({ name, details, fetch, model: named, state: named.state })
  }

  /** A download of which the workflow knows nothing. */
  fetchRow(fetch) {
    const details = [fetch.type, sizeOf(fetch.total, this.locale)]
    const name = element("span", {}, fetch.name)
    return this.rowOf({ name, details, fetch, model: fetch, state: fetch.model ? IN_BUCKET : MISSING })
  }

  rowOf({ name, details, fetch, model, state }) {
    const texts = [element("span", { class: "cs-model-detail" }, details.join(" · "))]
    const failure = this.failures.get(keyOf(model)) || (fetch?.status === "failed" && fetch.error)
    if (isBusy(fetch)) texts.push(this.progress(fetch))
    else if (failure && state !== HERE) texts.push(element("span", { class: "cs-error" }, this.say.message(failure)))
    else if (fetch?.text) texts.push(element("span", { class: "cs-model-detail" }, this.say.message(fetch.text)))
    const row = element("li", { class: "cs-model", "data-state": isBusy(fetch) ? "busy" : state })
    const text = element("div", { class: "cs-model-text" }, name, ...texts)
    row.append(icon(ICONS[state]), text, ...this.action(model, state, fetch))
    row.csItem = model
    return row
  }

  /** The button of a row, if something can be done. */
  action(model, state, fetch) {
    const { say } = this
    const act = (text, shape, click) => {
      const label = say(text, { name: model.name })
      return [button(icon(shape), click, "cs-bare", { "aria-label": label, title: label, "data-act": text })]
    }
    if (isBusy(fetch)) return act("models_cancel", "cross", (event) => this.cancel(itemOf(event)))
    if (state === IN_BUCKET) return act("models_get", "download", (event) => this.get([requestOf(itemOf(event))]))
    return []
  }

  progress(fetch) {
    const { locale, say } = this
    const isWaiting = fetch.status === "waiting"
    const value = fetch.total ? Math.min(1, fetch.done / fetch.total) : 0
    const sizes = { done: sizeOf(fetch.done, locale), total: sizeOf(fetch.total, locale) }
    const text = isWaiting ? say("models_waiting") : say("models_progress", sizes)
    const bar = element("span", { class: "cs-bar", role: "progressbar", "aria-valuemin": 0, "aria-valuemax": 100 })
    bar.setAttribute("aria-valuenow", Math.round(100 * value))
    bar.setAttribute("aria-label", fetch.name)
    bar.append(element("span", { style: `width: ${100 * value}%` }))
    const said = fetch.text ? [" · ", this.say.message(fetch.text)] : []
    const detail = element("span", { class: "cs-model-detail" }, text, ...said)
    return element("span", { class: "cs-model-progress" }, bar, detail)
  }

  /** A row of the catalogue: it has a fixed height, and is used by the keys of its list. */
  catalogueRow(model) {
    const { say, locale, library } = this
    const key = keyOf(model)
    const fetch = library.fetches.get(key)
    const copy = library.copies.get(key)
    const state = model.here ? HERE : IN_BUCKET
    const details = [model.type, sizeOf(model.size, locale)]
    if (model.here) details.push(say("models_here"))
    if (copy) details.push(say("models_used", { time: dayOf(copy.last_used, locale) }))
    if (copy?.in_bucket === false) details.push(say("models_gone"))
    const failure = this.failures.get(key) || (fetch?.status === "failed" && fetch.error)
    const detail = isBusy(fetch)
      ? this.progress(fetch)
      : failure && !model.here
        ? element("span", { class: "cs-error", title: this.say.message(failure) }, this.say.message(failure))
        : element("span", { class: "cs-model-detail", title: details.join(" · ") }, details.join(" · "))
    const name = element("span", { title: model.name }, model.name)
    const text = element("div", { class: "cs-model-text" }, name, detail)
    const buttons = this.action(model, state, fetch)
    for (const one of buttons) one.tabIndex = -1 // Enter does it
    return [[icon(ICONS[state]), text, ...buttons], { "data-state": isBusy(fetch) ? "busy" : state }]
  }

  // ---------------------------------------------------------------- what the user does

  use(model) {
    const fetch = this.library.fetches.get(keyOf(model))
    if (isBusy(fetch)) this.cancel(model)
    else if (!model.here) this.get([requestOf(model)])
  }

  cancel(model) {
    return this.run(() => this.library.cancel(model), model)
  }

  getMissing() {
    return this.get(this.wanted().map(requestOf))
  }

  get(requests) {
    const [{ type, name, as = name, into = type }] = requests
    return this.run(() => this.library.get(requests), requests.length === 1 ? { type: into, name: as } : undefined)
  }

  /** Do something; if it fails, say so at the model, or at the top. */
  async run(work, model) {
    const key = model ? keyOf(model) : ""
    this.failures.delete(key)
    try {
      await work()
    } catch (error) {
      this.failures.set(key, error.message)
    }
    this.draw()
  }
}

function place(named) {
  return ORDER.indexOf(named.state)
}

function countsOf(counts) {
  return { here: counts[HERE], bucket: counts[IN_BUCKET], missing: counts[MISSING] }
}

/** What to ask the server for: the bucket's own type and name, and those that the workflow has for it. */
function requestOf(one) {
  const { type, name } = one.model ?? one
  return { type, name, ...(one.name !== name && { as: one.name }), ...(one.type !== type && { into: one.type }) }
}

function dayOf(time, locale) {
  return new Intl.DateTimeFormat(locale, { dateStyle: "medium" }).format(new Date(time))
}

/** Make the rows of a list look like `rows`, each with its key. A row of the same key stays. */
function replaceRows(list, rows) {
  const before = new Map([...list.children].map((row) => [row.csKey, row]))
  for (const [place, [key, row]] of rows.entries()) {
    const old = before.get(key)
    before.delete(key)
    if (old) patch(old, row)
    const shown = old ?? row
    Object.assign(shown, { csKey: key, csItem: row.csItem })
    if (list.children[place] !== shown) list.insertBefore(shown, list.children[place] ?? null)
  }
  for (const gone of before.values()) gone.remove()
}

/** What the row of a button or another element shows now. */
function itemOf(event) {
  return event.currentTarget.closest("li").csItem
}
