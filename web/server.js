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
    throw new Refused(said.error ?? (answer.status === 404 ? say("outdated") : `HTTP ${answer.status}`))
  }

  return {
    /**
     * A page of a folder, or of what `search` finds below it, as routes.py gives it. Without an `order` by name; of
     * files those with one of `endings`. `fresh`: not a kept one.
     */
    list: async (profile, { folder, token, search, order, endings, fresh, signal }) => {
      const options = { signal, cache: fresh ? "reload" : "default" }
      return (await ask("list", { ...profile, folder, token, search, order, endings }, options)).json()
    },
    /** A small picture, as a Blob. */
    thumbnail: async (profile, { key, etag }, signal) =>
      (await ask("thumbnail", { ...profile, key, etag }, { signal })).blob(),
    /** The lines of a connection test that only looks. */
    test: async (profile) => (await (await ask("test", profile, { cache: "no-store" })).json()).lines,
  }
}
