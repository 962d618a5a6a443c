/**
 * The entries of a folder of the bucket in their order, of which only those that somebody needs are fetched: the server
 * has all keys, and answers windows of them. Does not use ComfyUI, and draws nothing.
 */

const WINDOW = 200 // entries of one request
const SOON_MILLISECONDS = 1000 // between two questions while the bucket is being listed
const LATER_MILLISECONDS = 15000 // the same while somebody watches
const KEPT_WINDOWS = 30

export class FileList {
  /** `files` is `files` of api.js. `changed()` is called after each change. */
  constructor({ files, changed }) {
    Object.assign(this, { files, changed })
    this.asked = { profile: "", folder: "", search: "", order: "newest", endings: "", without: "", flat: "" }
    this.forget()
  }

  forget() {
    this.windows = new Map() // entries by the number of their window
    this.total = undefined // unknown
    this.folders = 0
    this.version = undefined
    this.state = undefined // of the server's list, as the server says it
    this.error = ""
    this.stop?.abort()
    this.stop = new AbortController()
    this.asking = new Map() // the numbers of windows, and their requests
  }

  /** Show other entries; resolves when the first are there. */
  show(asked) {
    this.asked = { ...this.asked, ...asked }
    this.forget()
    this.changed()
    return this.fetch(0)
  }

  /** The entry of a number; undefined as long as it is not here, and then it is fetched. */
  at(place) {
    const number = Math.floor(place / WINDOW)
    const window = this.windows.get(number)
    if (!window) this.fetch(number)
    return window?.[place - number * WINDOW]
  }

  /** The entries from one number to another, both included, at most `most`; fetched in one request. */
  async range(first, last, most) {
    const count = Math.min(last - first + 1, most)
    const here = Array.from({ length: count }, (_, step) => this.peek(first + step))
    if (here.every(Boolean)) return here
    const said = await this.files.list({ ...this.asked, start: first, count })
    return said.entries
  }

  peek(place) {
    const number = Math.floor(place / WINDOW)
    return this.windows.get(number)?.[place - number * WINDOW]
  }

  /** The number of an entry; null if it is not shown. */
  async placeOf(key) {
    for (const [number, entries] of this.windows) {
      const step = entries.findIndex((entry) => entry.key === key)
      if (step >= 0) return number * WINDOW + step
    }
    return (await this.files.list({ ...this.asked, start: 0, count: 1, at: key })).place
  }

  async fetch(number) {
    if (this.asking.has(number)) return this.asking.get(number)
    const { signal } = this.stop
    const work = this.ask(number, signal).finally(() => !signal.aborted && this.asking.delete(number))
    this.asking.set(number, work)
    return work
  }

  async ask(number, signal) {
    try {
      const said = await this.files.list({ ...this.asked, start: number * WINDOW, count: WINDOW }, signal)
      if (signal.aborted) return
      this.error = ""
      if (said.version !== this.version) this.windows.clear() // the numbers of entries are others
      this.take(said)
      Object.assign(this, { total: said.total, folders: said.folders, where: said })
      this.windows.set(number, said.entries)
      if (this.windows.size > KEPT_WINDOWS) this.windows.delete(this.windows.keys().next().value)
    } catch (error) {
      if (signal.aborted || error.name === "AbortError") return
      this.error = error.message
      this.total ??= 0
    }
    this.changed()
    this.watchOn()
  }

  take({ version, state }) {
    Object.assign(this, { version, state })
  }

  // ---------------------------------------------------------------- as long as somebody watches

  watch() {
    this.isWatched = true
    this.watchOn()
  }

  rest() {
    this.isWatched = false
    clearTimeout(this.timer)
  }

  watchOn() {
    clearTimeout(this.timer)
    if (!this.isWatched || !this.state) return
    const wait = this.state.is_listing ? SOON_MILLISECONDS : LATER_MILLISECONDS
    this.timer = setTimeout(() => this.look(), wait)
  }

  /** Ask if the bucket has been listed again; then the entries in sight are fetched again. */
  async look() {
    const { signal } = this.stop
    try {
      const said = await this.files.state({ profile: this.asked.profile }, signal)
      if (signal.aborted) return
      if (said.version !== this.version) {
        this.take(said)
        this.isStale = true
      } else this.take(said)
      this.changed()
    } catch (error) {
      if (signal.aborted || error.name === "AbortError") return
    }
    this.watchOn()
  }

  /** Fetch what is in sight again, from the window of the entry `place` on: the list is another one. */
  async again(place) {
    this.isStale = false
    const number = Math.floor(place / WINDOW)
    this.asking.delete(number)
    await this.fetch(number)
  }

  async refresh() {
    const said = await this.files.refresh({ profile: this.asked.profile })
    this.isStale ||= said.version !== this.version // it has been listed already
    this.take(said)
    this.changed()
    this.watchOn()
  }
}
