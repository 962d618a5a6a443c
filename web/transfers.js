/**
 * What the page knows of uploads: the files that wait in the outbox, and the mirror. Asks the server now and then, more
 * often while somebody watches. Does not use ComfyUI, and draws nothing.
 */

const SOON_MILLISECONDS = 1000 // between two questions while files are sent and somebody watches
const WATCHED_MILLISECONDS = 5000
const IDLE_MILLISECONDS = 60000 // as long as something waits, for the number at the icon

export class Transfers {
  /** `server` is the object of api.js; `changed()` is called after each change. */
  constructor({ server, changed }) {
    Object.assign(this, { server, changed })
    this.outbox = undefined // as the server says it
    this.mirror = null // the same; null where there is none
    this.error = ""
    this.isWatched = false
  }

  /** How many files wait to be uploaded. */
  get waiting() {
    return (this.outbox?.waiting ?? 0) + (this.mirror?.failing ? this.mirror.waiting : 0)
  }

  watch() {
    this.isWatched = true
    return this.look()
  }

  rest() {
    this.isWatched = false
  }

  async look() {
    clearTimeout(this.timer)
    const turn = (this.turn = {})
    try {
      const [outbox, mirror] = await Promise.all([this.server.transfers.waiting(), this.server.mirror.state()])
      if (turn !== this.turn) return
      Object.assign(this, { outbox, mirror, error: "" })
    } catch (error) {
      if (turn !== this.turn) return
      this.error = error.message
    }
    this.changed()
    const isBusy = this.outbox?.sending || this.mirror?.waiting
    const wait = !this.isWatched ? IDLE_MILLISECONDS : isBusy ? SOON_MILLISECONDS : WATCHED_MILLISECONDS
    if (this.isWatched || this.waiting) this.timer = setTimeout(() => this.look(), wait)
  }

  retry() {
    return this.attempt(() => this.server.transfers.retry())
  }

  retryMirror() {
    return this.attempt(() => this.server.mirror.retry())
  }

  async attempt(work) {
    try {
      await work()
    } catch (error) {
      this.error = error.message
      return this.changed()
    }
    return this.look()
  }
}
