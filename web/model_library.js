/**
 * What the page knows of the library: the models of the open workflow, the catalogue, the copies on the disk, and the
 * downloads. Asks the server now and then while something changes, and as long as somebody watches.
 *
 * Does not use ComfyUI, and draws nothing.
 */

const SOON_MILLISECONDS = 500 // between two questions while a download or a listing runs
const LATER_MILLISECONDS = 5000 // the same while somebody watches and nothing runs
const RETRY_MILLISECONDS = 5000 // after a question that failed

export const HERE = "here"
export const IN_BUCKET = "in the bucket"
export const MISSING = "missing"

const BUSY = ["waiting", "running"]

/** What a model is known by: the server writes names with the separator of its system. */
export function keyOf({ type, name }) {
  return `${type}\0${name.replaceAll("\\", "/")}`
}

export function isBusy(fetch) {
  return BUSY.includes(fetch?.status)
}

export class ModelLibrary {
  /**
   * `models` is `models` of api.js. `workflow()` returns the open workflow as Save writes it. `changed()` is called
   * after each change; `arrived()` when the last of some downloads is complete; `listed()` when the catalogue is new.
   */
  constructor({ models, workflow, changed, arrived, listed }) {
    Object.assign(this, { models, workflow, changed, arrived, listed })
    this.state = undefined // of the catalogue, as the server says it; undefined: not asked yet
    this.errors = new Map() // of the latest questions that failed, by what was asked
    this.named = undefined // models of the workflow
    this.catalogue = undefined // all of its models
    this.copies = new Map() // on the disk, by key
    this.room = undefined
    this.fetches = new Map() // by key
    this.isWatched = false
    this.hasArrived = false
  }

  /** Somebody looks: bring everything up to date, and keep it so. */
  watch() {
    this.isWatched = true
    return Promise.all([this.look(), this.readWorkflow(), this.readCatalogue()])
  }

  rest() {
    this.isWatched = false
  }

  /** Ask for the downloads, and ask again while it matters. */
  async look() {
    clearTimeout(this.timer)
    const turn = (this.turn = {})
    let wait = RETRY_MILLISECONDS
    try {
      const said = await this.models.progress()
      if (turn !== this.turn) return
      this.errors.delete("look")
      this.receive(said)
      wait = this.isRunning() || this.state.is_listing ? SOON_MILLISECONDS : LATER_MILLISECONDS
    } catch (error) {
      if (turn !== this.turn) return
      this.errors.set("look", error.message)
      this.changed()
    }
    const matters = this.isWatched || this.isRunning() || this.state?.is_listing
    if (matters) this.timer = setTimeout(() => this.look(), wait)
  }

  /** What is wrong, "" if nothing is. */
  get error() {
    return [...this.errors.values()][0] ?? ""
  }

  isRunning() {
    return [...this.fetches.values()].some(isBusy)
  }

  receive({ state, fetches }) {
    const before = this.fetches
    const isFirst = !this.state // what is done by then is in everything that was read since
    this.fetches = new Map(fetches.map((fetch) => [keyOf(fetch), fetch]))
    const isNew = ([key, { status }]) => status === "done" && before.get(key)?.status !== "done" && !isFirst
    const done = [...this.fetches].filter(isNew)
    this.hasArrived ||= done.length > 0
    this.takeState(state)
    if (done.length) this.readWorkflow()
    if (this.hasArrived && !this.isRunning()) {
      this.hasArrived = false
      this.arrived()
      if (this.isWatched) this.readCatalogue()
    }
    if (this.isWatched && this.errors.has("catalogue")) this.readCatalogue()
    if (this.isWatched && this.errors.has("workflow")) this.readWorkflow()
    this.changed()
  }

  /** Take the state of the catalogue, which comes with every answer. */
  takeState(state) {
    const isNew = this.state && (this.state.listed !== state.listed || this.state.mode !== state.mode)
    this.state = state
    if (!isNew) return
    this.listed()
    this.readWorkflow()
    if (this.isWatched) this.readCatalogue()
  }

  /** Ask which models the open workflow names. A later question makes an earlier one void. */
  async readWorkflow() {
    if (!this.isWatched) return (this.named = undefined)
    this.reading?.abort()
    const reading = (this.reading = new AbortController())
    await this.attempt("workflow", async () => {
      const said = await this.models.ofWorkflow(this.workflow(), reading.signal)
      if (reading.signal.aborted) return
      this.named = said.models
      this.takeState(said.state)
    })
  }

  /** Read the whole catalogue, page by page, then the copies: the server looks for those in its folders. */
  async readCatalogue() {
    if (this.catalogueIsRead) return (this.mustReadAgain = true)
    this.catalogueIsRead = true
    await this.attempt("catalogue", async () => {
      do {
        this.mustReadAgain = false
        const all = await this.allPages()
        if (!all) this.mustReadAgain = true // it was listed anew meanwhile
        else this.catalogue = all
      } while (this.mustReadAgain)
      this.changed()
      const { copies, room } = await this.models.copies()
      this.copies = new Map(copies.map((copy) => [keyOf(copy), copy]))
      this.room = room
    })
    this.catalogueIsRead = false
  }

  async allPages() {
    const all = []
    let version
    for (let after = 0; after !== null; ) {
      const page = await this.models.catalogue(after)
      version ??= page.version
      if (page.version !== version) return null
      all.push(...page.models)
      after = page.following
      this.takeState(page.state)
    }
    return all
  }

  /** Download models, each `{type, name, as, into}`. Rejects with the server's reason. */
  async get(models) {
    const { refused } = await this.models.fetch(models)
    for (const { type, name, as = name, into = type } of models) {
      const begun = { type: into, name: as, status: "waiting", done: 0, total: 0, text: "", error: "" }
      this.fetches.set(keyOf(begun), begun) // it may be done when the server is asked for the first time
    }
    await this.look()
    if (refused.length) throw new Error(refused.map(({ error }) => error).join(" "))
  }

  async cancel(model) {
    await this.models.cancel([{ type: model.type, name: model.name }])
    await this.look()
  }

  async dismiss() {
    await this.models.dismiss()
    await this.look()
  }

  async refresh() {
    this.takeState((await this.models.refresh()).state)
    await Promise.all([this.look(), this.readWorkflow()])
  }

  async attempt(what, work) {
    try {
      await work()
      this.errors.delete(what)
    } catch (error) {
      if (error.name === "AbortError") return
      this.errors.set(what, error.message)
    }
    this.changed()
  }
}
