/**
 * Questions to the routes of routes.py. Each takes the profile as `{profile, provider, bucket, path_prefix, region}`,
 * names and settings only.
 */

export class Refused extends Error {}

/**
 * `address(path)` is how the frontend addresses its server, `say` gives texts. Rejects with Refused, whose message is
 * for the user, and with the browser's AbortError.
 */
export function serverOf(address, say) {
  async function ask(name, query, options = {}) {
    const given = Object.entries(query).filter(([, value]) => value)
    const path = `/cloud_storage/${name}?${new URLSearchParams(given)}`
    let answer
    try {
      answer = await fetch(address(path), { ...options, headers: { "X-Cloud-Storage": "1" } })
    } catch (error) {
      if (error.name === "AbortError") throw error
      throw new Refused(say("unreachable"))
    }
    if (answer.ok) return answer
    const said = await answer.json().catch(() => ({}))
    if (said.error) throw new Refused(say.message(said.error))
    throw new Refused(answer.status === 404 ? say("outdated") : `HTTP ${answer.status}`)
  }

  const listing = (route) => async (profile, { fresh, signal, ...asked }) => {
    const options = { signal, cache: fresh ? "reload" : "default" }
    return (await ask(route, { ...profile, ...asked }, options)).json()
  }
  const picture = (route) => async (profile, { key, etag }, signal) =>
    (await ask(route, { ...profile, key, etag }, { signal })).blob()

  return {
    /**
     * A page of a `folder`, or of what `search` finds below it, as routes.py gives it; `token` asks for the next one.
     * Without an `order` by name; of files those with one of `endings`. `fresh`: not a kept one.
     */
    list: listing("list"),
    /** A small picture of `{key, etag}`, as a Blob. */
    thumbnail: picture("thumbnail"),
    /** The same of ComfyUI's own folders. */
    local: { list: listing("local"), thumbnail: picture("local_thumbnail") },
    /** Bring a File to ComfyUI's input folder; how the nodes name it there. ComfyUI takes any kind. */
    upload: async (file) => {
      const body = new FormData()
      body.append("image", file)
      const answer = await fetch(address("/upload/image"), { method: "POST", body }).catch(() => null)
      if (!answer) throw new Refused(say("unreachable"))
      if (answer.status === 413) throw new Refused(say("too_large"))
      if (!answer.ok) throw new Refused(say("not_uploaded", { status: answer.status }))
      const { name, subfolder } = await answer.json()
      return ["input", subfolder, name].filter(Boolean).join("/")
    },
    /** An address of an object, `{profile, …, key}`, that opens for a minute. */
    open: async (object) => (await (await ask("open", object, { cache: "no-store" })).json()).address,
    /** The lines of a connection test that only looks. */
    test: async (profile) => (await (await ask("test", profile, { cache: "no-store" })).json()).lines,
  }
}
