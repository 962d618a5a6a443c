/**
 * The entries of a folder of the bucket in their order, of which only those that somebody needs are fetched: the server
 * has all keys, and answers windows of them. Does not use ComfyUI, and draws nothing.
 */

const WINDOW = 200 // entries of one request
const SOON_MILLISECONDS = 700 // between two questions while the bucket is being listed
const LATER_MILLISECONDS = 15000 // the same while somebody watches
const KEPT_WINDOWS = 30

export class FileList {
  /**
   * `files` is `files` or `local` of api.js, `asked` what is asked first. `changed()` is called after each change.
   */
  constructor({ files, asked, changed }) {
    Object.assign(this, { files, changed })
    this.place = {} // the profile, as api.js takes it
    this.asked = { folder: "", search: "", order: "newest", endings: "", without: "", flat: "", ...asked }
    this.forget()
  }

  forget() {
    this.windows = new Map() // entries by the number of their window
    this.total = undefined // unknown
    this.folders = this.hidden = 0
    this.found = undefined // the number of the entry that was looked for, null for none
    this.isStale = false // whether the list is another one by now
    this.leaving = undefined // as `again` takes it
    this.once = {} // for the first request alone
    this.version = undefined
    this.state = undefined // of the server's list, as the server says it
    this.error = ""
    this.stop?.abort()
    this.stop = new AbortController()
    this.asking = new Map() // the numbers of windows, and their requests
  }

  /** Show other entries, of another `place` if one is given; resolves when the first are there. `once` is asked now. */
  show(asked, { place = this.place, once = {} } = {}) {
    this.place = place
    this.asked = { ...this.asked, ...asked }
    this.forget()
    this.once = once
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
    return (await this.request({ start: first, count })).entries
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
    return (await this.request({ count: 1, at: key })).place
  }

  request(further, signal) {
    return this.files.list({ ...this.place, ...this.asked, ...further }, signal)
  }

  async fetch(number) {
    if (this.asking.has(number)) return this.asking.get(number)
    const { signal } = this.stop
    const work = this.ask(number, signal).finally(() => !signal.aborted && this.asking.delete(number))
    this.asking.set(number, work)
    return work
  }

  async ask(number, signal) {
    const { once } = this
    this.once = {}
    try {
      const said = await this.request({ start: number * WINDOW, count: WINDOW, ...once }, signal)
      if (signal.aborted) return
      this.error = ""
      this.isStale = this.version !== undefined && said.version !== this.version
      if (this.isStale) return this.changed() // the numbers of entries are others: see again()
      if (this.version === undefined) {
        this.leaving?.()
        this.windows.clear()
      }
      this.take(said)
      Object.assign(this, { total: said.total, folders: said.folders, hidden: said.hidden, where: said })
      if (once.at) this.found = said.place
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
    if (!this.isWatched || !this.state || !this.files.state) return
    const isSoon = this.state.is_listing || this.isHurried
    this.timer = setTimeout(() => this.look(), isSoon ? SOON_MILLISECONDS : LATER_MILLISECONDS)
  }

  /** Look soon: somebody says that there is something new. */
  lookSoon() {
    if (this.isHurried) return
    this.isHurried = true
    this.watchOn()
  }

  /** Ask if the bucket has been listed again; then the entries in sight are fetched again. */
  async look() {
    const { signal } = this.stop
    this.isHurried = false
    try {
      const said = await this.files.state(this.place, signal)
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

  /**
   * Fetch what is in sight again, from the window of the entry `place` on: the list is another one. `leaving()` is
   * called when the new entries are here, just before they take the place of the old ones.
   */
  async again(place, leaving) {
    this.isStale = false
    this.leaving = leaving
    this.version = undefined // whatever it is then
    const number = Math.floor(place / WINDOW)
    this.asking.delete(number)
    await this.fetch(number)
  }

  async refresh() {
    if (!this.files.refresh) return // is read anew each time
    const said = await this.files.refresh(this.place)
    this.isStale ||= said.version !== this.version // it has been listed already
    this.take(said)
    this.changed()
    this.watchOn()
  }
}
