/**
 * The tab "Cloud" in ComfyUI's sidebar: registers it, with the panels that other extensions add, and shows a number
 * at its icon. Frontends 1.27 to 1.58.
 */

import { CloudTab } from "./cloud_tab.js"
import { texts } from "./texts.js"

export const TAB = "comfyui-cloud-storage" // also in the id of the command that opens it
// The panels in their order: the texts of their name, and of the number at their tab
const PANELS = {
  files: ["cloud_files", ""],
  models: ["cloud_models", "cloud_models_count"],
  transfers: ["cloud_transfers", "cloud_transfers_count"],
}
const SMALL_TITLES = [1, 33] // frontends before this one have a small title in capitals
const CLOSE_BUTTONS = [1, 58] // this frontend has a button in each tab that closes it, and wider margins

/** `host` is that of host.js. The sidebar has `extension`, to be registered after those that add panels. */
export function sidebarOf({ app, locale }) {
  const added = new Map() // {make, badge} by the id of the panel
  const toggle = () => app.extensionManager.command.execute(`Workspace.ToggleSidebarTab.${TAB}`)
  let tab

  function made() {
    if (tab) return tab
    const say = texts(locale())
    const panels = Object.keys(PANELS).filter((id) => added.has(id)).map((id) => {
      const panel = added.get(id).make({ say, locale: locale() })
      return { id, name: say(PANELS[id][0]), panel }
    })
    const look = isBefore(SMALL_TITLES) ? "cs-small-titles" : isBefore(CLOSE_BUTTONS) ? "" : "cs-wide-margins"
    return (tab = new CloudTab({ say, panels, look, leave: isBefore(CLOSE_BUTTONS) ? undefined : toggle }))
  }

  function draw() {
    const say = texts(locale())
    const counts = Object.keys(PANELS).flatMap((id) => (added.get(id)?.count ? [[id, added.get(id).count()]] : []))
    for (const [id, number] of counts) tab?.count(id, number, say(PANELS[id][1], { count: number }))
    // What waits needs somebody; what runs does not.
    const number = counts.map(([, count]) => count).reverse().find(Boolean)
    const registered = app.extensionManager.getSidebarTabs?.().find(({ id }) => id === TAB)
    const badge = number ? String(number) : null
    if (registered && (registered.iconBadge ?? null) !== badge) registered.iconBadge = badge
  }

  return {
    /** Add a panel: `make({say, locale})` is called once, before it is shown; `count()` is the number at its tab. */
    add: (id, { make, count }) => added.set(id, { make, count }),
    /** Show the numbers again, which have changed. */
    draw,
    /** Open the sidebar at one of the panels. */
    show(id) {
      made().show(id)
      if (app.extensionManager.sidebarTab?.activeSidebarTabId !== TAB)
        toggle()
    },
    extension: {
      name: "comfyui-cloud-storage.sidebar",
      setup() {
        const say = texts(locale())
        app.extensionManager.registerSidebarTab({
          id: TAB,
          icon: "pi pi-cloud",
          title: say("cloud_title"),
          tooltip: say("cloud_tooltip"),
          label: say("cloud_title"),
          type: "custom",
          render: (place) => {
            made().open(place)
            draw()
          },
          destroy: () => tab?.close(),
        })
      },
    },
  }
}

/** Whether the frontend is older than a version. */
function isBefore([wantedMajor, wantedMinor]) {
  const [major, minor] = String(window.__COMFYUI_FRONTEND_VERSION__ ?? "").split(".").map(Number)
  return major < wantedMajor || (major === wantedMajor && minor < wantedMinor)
}
