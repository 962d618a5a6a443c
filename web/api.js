/**
 * Requests to the routes of page/routes.py. Those about a bucket take the profile as `{profile, provider, bucket,
 * path_prefix, region}`: names and settings only. Those about models take none: the server's settings say which
 * buckets belong to the library.
 */

/** `kind` is the name of the server's error, "" if it gave none. */
export class Refused extends Error {
  constructor(message, kind = "") {
    super(message)
    this.kind = kind
  }
}

/**
 * `address(path)` returns the URL of a path on ComfyUI's server, `say` returns texts. Requests reject with Refused,
 * whose message is for the user, or with the browser's AbortError.
 */
export function serverOf(address, say) {
  async function ask(name, query, options = {}) {
    const given = Object.entries(query).filter(([, value]) => value)
    const path = `/cloud_storage/${name}?${new URLSearchParams(given)}`
    let answer
    try {
      const headers = { "X-Cloud-Storage": "1", ...(options.body && { "Content-Type": "application/json" }) }
      answer = await fetch(address(path), { ...options, headers })
    } catch (error) {
      if (error.name === "AbortError") throw error
      throw new Refused(say("unreachable"))
    }
    if (answer.ok) return answer
    const said = await answer.json().catch(() => ({}))
    if (said.error) throw new Refused(say.message(said.error), said.kind)
    throw new Refused(answer.status === 404 ? say("outdated") : `HTTP ${answer.status}`)
  }

  const listing = (route) => async (asked, signal) =>
    (await ask(route, asked, { signal, cache: "no-store" })).json()
  const read = async (route, query = {}) => (await ask(route, query, { cache: "no-store" })).json()
  const post = async (route, said = {}, signal) =>
    (await ask(route, {}, { method: "POST", body: JSON.stringify(said), signal })).json()
  const thumbnail = (route) => async (profile, { key, etag }, signal) =>
    (await ask(route, { ...profile, key, etag }, { signal })).blob()

  return {
    /** A thumbnail of `{key, etag}`, as a Blob. */
    thumbnail: thumbnail("thumbnail"),
    /** The same for ComfyUI's own folders, and a window of their files. */
    local: { list: listing("local"), thumbnail: thumbnail("local_thumbnail") },
    /** Upload a File to ComfyUI's input folder, which accepts any kind; resolves with its key for our nodes. */
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
    files: {
      /** The profiles that can be chosen, and which is used by default. */
      profiles: () => read("files/profiles"),
      /** A window of the files of a profile: see page/files.py. */
      list: listing("files/list"),
      /** What the server's list of a profile knows of itself. */
      state: listing("files/state"),
      refresh: (profile) => post("files/refresh", profile),
      /** Whether each of up to 20 `{…profile, key, etag}` is another version by now; null if that cannot be known. */
      changed: (objects) => post("files/changed", { files: objects }),
      thumbnail: thumbnail("thumbnail"),
      /** The unsigned address of a `{profile, key}`, and whether anybody may read it. */
      link: (object) => read("files/link", object),
      /** A signed address of a `{profile, key, hours}`. */
      share: (object) => read("files/share", object),
    },
    workflows: {
      /** The workflows of a `{profile}`: see page/workflows.py. */
      list: async (asked, signal) => (await ask("workflows/list", asked, { signal, cache: "no-store" })).json(),
      /** The workflow of a JSON file, `{profile, key}`. */
      read: (object) => read("workflows/read", object),
      /** Save `{profile, name, content, replaces}`; the answer has a `version`, or the `conflict`. */
      save: (said) => post("workflows/save", said),
    },
    transfers: {
      /** What waits in the outbox. */
      waiting: () => read("transfers/waiting"),
      retry: () => post("transfers/retry"),
    },
    /** The mirror; null where there is none. */
    mirror: {
      state: () => read("mirror/state").catch(() => null),
      retry: () => post("mirror/retry"),
    },
    /**
     * Upload files that a node shows, each `{filename, subfolder, type}`, through a profile by its name; resolves with
     * `{lines, keys}`.
     */
    send: (files, profile, folder) => post("send", { files, profile, key_prefix: folder }),
    /**
     * Upload a File into a folder of the bucket; resolves with `{key, size, etag, status}`. `progress(part)` is called
     * with the part that has arrived at ComfyUI, 0 to 1. Not with fetch, which tells nobody how far it is.
     */
    drop: (profile, folder, file, progress) =>
      new Promise((resolve, reject) => {
        const given = Object.entries({ ...profile, folder, name: file.name }).filter(([, value]) => value)
        const request = new XMLHttpRequest()
        const refuse = (text) => reject(new Refused(text))
        request.open("POST", address(`/cloud_storage/drop?${new URLSearchParams(given)}`))
        request.setRequestHeader("X-Cloud-Storage", "1")
        request.responseType = "json"
        request.upload.onprogress = ({ loaded, total }) => progress(total ? loaded / total : 0)
        request.onerror = () => refuse(say("drop_broken", { name: file.name }))
        request.onload = () => {
          const { status, response } = request
          if (status === 200) resolve(response)
          else if (response?.error) refuse(say.message(response.error))
          else refuse(status === 404 || status === 405 ? say("outdated") : `HTTP ${status}`)
        }
        request.send(file)
      }),
    /** What the settings panel shows: see page/status.py. */
    status: () => read("status"),
    /** Delete what can be downloaded again; resolves with `{cached, cached_max}`, in bytes. */
    clearCache: () => post("cache/clear"),
    models: {
      /** The bucket's names by folder type, and which inputs of which nodes list these types. */
      names: () => read("models/names"),
      /** A page of the catalogue, from the model number `after` on. */
      catalogue: (after) => read("models/catalogue", { after }),
      /** The copies on ComfyUI's disk, and the room for more. */
      copies: () => read("models/copies"),
      /** The downloads, and the state of the catalogue. */
      progress: () => read("models/progress"),
      /** The models that a workflow names. */
      ofWorkflow: (workflow, signal) => post("models/workflow", { workflow }, signal),
      /** Download entries of the catalogue, each `{type, name, as, into}`. */
      fetch: (models) => post("models/fetch", { models }),
      cancel: (models) => post("models/cancel", { models }),
      dismiss: () => post("models/dismiss"),
      refresh: () => post("models/refresh"),
    },
    /** A new profile. Its secrets go to the server, and are in no answer. */
    setup: {
      /** What to ask, whether anything is configured, and whether this page may save. */
      ask: () => read("setup"),
      /** The lines of a test of `{provider, answers}`, or what is `wrong` with answers by setting. */
      test: (said, signal) => post("setup/test", said, signal),
      /** Save `{provider, answers, name, replace, default}`. */
      save: (said, signal) => post("setup/save", said, signal),
    },
    /** An address of an object, `{profile, …, key}`, that works for a minute. */
    open: async (object) => (await (await ask("open", object, { cache: "no-store" })).json()).address,
    /** The workflow inside an object, `{workflow}` or, of the API, `{prompt}`, with the `name` of the file. */
    workflow: async (object) => (await ask("workflow", object, { cache: "no-store" })).json(),
    /** The lines of a connection test that writes nothing. */
    test: async (profile) => (await (await ask("test", profile, { cache: "no-store" })).json()).lines,
  }
}
