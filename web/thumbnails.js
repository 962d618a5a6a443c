/**
 * Thumbnails of a list: requested when their row becomes visible, a few at a time, and kept while the list is open.
 */

import { element } from "./dom.js"

const AT_ONCE = 4
const MAX_BYTES = 32 * 1024 * 1024 // the server makes no thumbnail of a larger file
const NONE = "" // in place of the address of a thumbnail that cannot be made
const VIDEO = /\.(mp4|m4v|mov|mkv|webm|avi|mpe?g|m?ts|m2ts|ogv)$/i // of these the server reads a part
const IMAGE = /\.(png|jpe?g|webp|gif|bmp|tiff?)$/i

/** Whether a file may have a thumbnail. */
export function mayHaveOne(file) {
  if (VIDEO.test(file.key)) return file.size > 0
  return IMAGE.test(file.key) && file.size > 0 && file.size <= MAX_BYTES
}

export class Thumbnails {
  /** `fetchOne(file, signal)` resolves with a Blob. */
  constructor(fetchOne) {
    this.fetchOne = fetchOne
    this.addresses = new Map() // object URLs by key and ETag
    this.waiting = new Map() // files by the element that will show them
    this.running = 0
    this.stop = new AbortController()
    this.observer = new IntersectionObserver((seen) => this.onVisible(seen), { rootMargin: "100px" })
  }

  /** Show the thumbnail of `file` in the element `place` as soon as that is visible, if it may have one. */
  offer(place, file) {
    if (!mayHaveOne(file)) return
    const address = this.addresses.get(nameOf(file))
    if (address === NONE) return
    if (address) return place.replaceChildren(element("img", { alt: "", src: address }))
    place.cloudStorageFile = file
    this.observer.observe(place)
  }

  /** Forget the elements but not the thumbnails: the list shows another folder. */
  forget() {
    this.observer.disconnect()
    this.waiting.clear()
  }

  close() {
    this.forget()
    this.stop.abort()
    for (const address of this.addresses.values()) URL.revokeObjectURL(address)
    this.addresses.clear()
  }

  onVisible(seen) {
    for (const { target, isIntersecting } of seen) {
      if (isIntersecting) this.waiting.set(target, target.cloudStorageFile)
      else this.waiting.delete(target) // scrolled past
    }
    this.next()
  }

  next() {
    while (this.running < AT_ONCE && this.waiting.size) {
      const [place, file] = this.waiting.entries().next().value
      this.waiting.delete(place)
      this.observer.unobserve(place)
      this.running++
      this.get(place, file).finally(() => {
        this.running--
        this.next()
      })
    }
  }

  async get(place, file) {
    try {
      const blob = await this.fetchOne(file, this.stop.signal)
      if (this.stop.signal.aborted) return
      const address = URL.createObjectURL(blob)
      this.addresses.set(nameOf(file), address)
      place.replaceChildren(element("img", { alt: "", src: address }))
    } catch (error) {
      if (error.kind === "MediaError") this.addresses.set(nameOf(file), NONE)
      // The icon stays: the file is too large, damaged or no image, or the dialog is closed.
    }
  }
}

function nameOf(file) {
  return `${file.key}\0${file.etag}`
}
