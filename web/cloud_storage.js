/**
 * Registers our parts with ComfyUI's page. The only module that imports ComfyUI's own scripts, and that does something
 * when it is loaded.
 *
 * Works on the canvas and with Vue nodes, frontends 1.27 to 1.58. Nothing that is added is saved: a workflow has only
 * the values of the nodes' own inputs.
 */

import { api } from "../../scripts/api.js"
import { app } from "../../scripts/app.js"
import { dropExtension } from "./drop_page.js"
import { filesExtension } from "./files_page.js"
import { hostOf } from "./host.js"
import { libraryExtension } from "./library_page.js"
import { showRuns } from "./node_runs.js"
import { marksExtension } from "./marks_page.js"
import { nodesExtension } from "./nodes_page.js"
import { sendExtension } from "./send_page.js"
import { settingsExtension } from "./settings_page.js"
import { setupOf } from "./setup_page.js"
import { sidebarOf } from "./sidebar_page.js"
import { transfersExtension } from "./transfers_page.js"
import { workflowsOf } from "./workflows_page.js"

const host = hostOf(app, api)
host.sidebar = sidebarOf(host)
host.setup = setupOf(host)
host.workflows = workflowsOf(host)

app.registerExtension(nodesExtension(host))
app.registerExtension(sendExtension(host))
app.registerExtension(dropExtension(host))
app.registerExtension(libraryExtension(host))
app.registerExtension(marksExtension(host))
app.registerExtension(host.setup.extension)
app.registerExtension(filesExtension(host))
app.registerExtension(transfersExtension(host))
app.registerExtension(host.workflows.extension)
app.registerExtension(host.sidebar.extension) // after the extensions that add its panels
app.registerExtension(settingsExtension(host))
showRuns(host) // now: before the page listens, and before anything is queued
