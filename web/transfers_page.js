/**
 * The panel Transfers in ComfyUI's page, as an extension: the number of files that wait at the sidebar's icon, and a
 * toast when the mirror begins to fail and when it has caught up. Frontends 1.27 to 1.58.
 */

import { Transfers } from "./transfers.js"
import { TransfersTab } from "./transfers_tab.js"

const TOAST_MILLISECONDS = 5000

/** `host` is that of host.js, with the `sidebar` of sidebar_page.js and the `library` of library_page.js. */
export function transfersExtension(host) {
  const { app, api, sidebar } = host
  let tab
  const changed = () => {
    tab?.draw()
    sidebar.draw()
  }

  return {
    name: "comfyui-cloud-storage.transfers",
    setup() {
      const transfers = new Transfers({ server: host.server(), changed })
      host.library.others.push(() => tab?.draw())
      sidebar.add("transfers", {
        make: (how) => (tab = new TransfersTab({ library: host.library, transfers, ...how })),
        count: () => transfers.waiting,
      })
      // A run may have left files in the outbox, or a save may have sent them.
      for (const event of ["execution_success", "execution_error", "cloud_storage.outbox"])
        api.addEventListener(event, () => transfers.look())
      api.addEventListener("cloud_storage.mirror", ({ detail }) => {
        transfers.look()
        const say = host.say()
        const text = detail.failing ? "mirror_failing" : "mirror_again"
        const severity = detail.failing ? "error" : "success"
        const life = detail.failing ? undefined : TOAST_MILLISECONDS // an error stays until it is read
        const said = [detail.profile, detail.error && say.message(detail.error)].filter(Boolean).join(": ")
        app.extensionManager.toast?.add({ severity, summary: say(text), detail: said, life })
      })
      transfers.look()
    },
  }
}
