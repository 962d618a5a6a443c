"""ComfyUI's page in a browser: open it, put a workflow on it, run it, and read what its nodes show.

``page`` is everywhere a page of ``chromium.page``. In it, ``comfy`` is the frontend's app.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from .comfyui import NAME, configure

READY_MILLISECONDS, POLL_MILLISECONDS = 120_000, 100  # its first second of drawing is a slow one
OWN_WORKFLOW_MILLISECONDS = 4000  # frontend 1.27 opens none here, later ones do
OPENING_MILLISECONDS = 1500  # after its own workflow is there, the page does more, and does not say what
FITTING_MILLISECONDS = 600
RUN_MILLISECONDS = 60_000
VUE_NODES_SINCE = (1, 33)


def opened(page: Any, address: str) -> None:
    """Open the page and wait until it, our nodes, and the workflow that it opens by itself are there."""
    page.goto(address)
    page.wait_for_function(
        """() => {
            const app = window.app ?? window.comfyAPI?.app?.app
            window.comfy = app
            return app?.graph && app.canvas && (app.vueAppReady ?? true) &&
                window.LiteGraph?.registered_node_types?.SaveImageToCloud
        }""",
        timeout=READY_MILLISECONDS,
        polling=POLL_MILLISECONDS,
    )
    page.wait_for_function(
        """milliseconds => {
            window.ours_since ??= performance.now()
            return comfy.extensionManager.workflow.activeWorkflow ||
                performance.now() - window.ours_since > milliseconds
        }""",
        arg=OWN_WORKFLOW_MILLISECONDS,
        polling=POLL_MILLISECONDS,
    )
    page.wait_for_timeout(OPENING_MILLISECONDS)
    page.keyboard.press("Escape")


@contextmanager
def drawn_by(
    nodes: str, page: Any, address: str, show: Callable[[Any, str], object] = opened
) -> Iterator[None]:
    """Show the page in English with nodes of the canvas, or of Vue where the frontend has them. Faults of the
    frontend's own are not ours to find.
    """
    configure(address, {"Comfy.VueNodes.Enabled": nodes == "vue", "Comfy.Locale": "en"})
    page.is_vue = nodes == "vue"
    show(page, address)
    version = page.evaluate("window.__COMFYUI_FRONTEND_VERSION__").split(".")
    if page.is_vue and (int(version[0]), int(version[1])) < VUE_NODES_SINCE:
        page.faults.clear()
        pytest.skip("this frontend's Vue nodes are an experiment that shows no widgets of extensions")
    yield
    page.faults[:] = [fault for fault in page.faults if NAME in fault]


def show_prompt(page: Any, prompt: Mapping[str, Any]) -> None:
    """Put a prompt of the API's form on the page, in place of what is there."""
    page.evaluate("prompt => { comfy.graph.clear(); comfy.loadApiJson(prompt, 'test') }", prompt)
    last = max(prompt, key=int)
    page.wait_for_function("last => comfy.graph.getNodeById(last)", arg=int(last))


def show_workflow(page: Any, workflow: Mapping[str, Any]) -> None:
    """Open a workflow of the page's own form, as Open does."""
    page.evaluate("async workflow => { await comfy.loadGraphData(workflow) }", workflow)
    last = max(node["id"] for node in workflow["nodes"])
    page.wait_for_function("last => comfy.graph.getNodeById(last)", arg=last)


def saved(page: Any) -> dict[str, Any]:
    """The workflow as Save writes it."""
    return dict(page.evaluate("() => JSON.parse(JSON.stringify(comfy.graph.serialize()))"))


def run(page: Any) -> tuple[str, dict[str, Any]]:
    """Press Run and wait: ``execution_success`` or ``execution_error``, and what ComfyUI says of it.

    A prompt that the server does not take ends as ``refused``, with the errors of its nodes.
    """
    page.evaluate(
        """() => {
            window.ended = window.last = undefined
            const once = { once: true }
            for (const kind of ["execution_success", "execution_error"])
                comfy.api.addEventListener(kind, ({ detail }) => (window.last = [kind, detail]), once)
            // the last event of a run, which would otherwise fall into what a test does next
            const idle = ({ detail }) => {
                if (detail || !window.last) return
                comfy.api.removeEventListener("executing", idle)
                window.ended = window.last
            }
            comfy.api.addEventListener("executing", idle)
            comfy.queuePrompt(0, 1).then(() => {
                const errors = comfy.lastNodeErrors ?? {}
                if (Object.keys(errors).length) window.ended = ["refused", errors]
            })
        }"""
    )
    page.wait_for_function("window.ended", timeout=RUN_MILLISECONDS)
    kind, detail = page.evaluate("window.ended")
    return str(kind), dict(detail)


def only(page: Any, kind: str) -> None:
    """Switch everything off that a node of this kind does not need; with an empty ``kind``, all on again."""
    page.evaluate(
        """kind => {
            const nodes = comfy.graph.nodes, sources = new Map()
            for (const [, from, , to] of comfy.graph.serialize().links)
                sources.set(String(to), [...(sources.get(String(to)) ?? []), String(from)])
            const needed = new Set()
            const need = (id) => needed.has(id) || (needed.add(id), (sources.get(id) ?? []).forEach(need))
            for (const node of nodes) if (!kind || node.type === kind) need(String(node.id))
            for (const node of nodes) node.mode = needed.has(String(node.id)) ? 0 : 2
        }""",
        kind,
    )


def lines(page: Any, number: int) -> tuple[list[str], list[str]] | None:
    """What our part of a node shows, line by line, and the addresses of its links; None before it does."""
    found = page.evaluate(
        """number => {
            const shown = comfy.graph.getNodeById(number).cloudStorageLines?.element
            if (!shown?.isConnected) return null
            const texts = [...shown.querySelectorAll(".cs-line")].map((line) => line.textContent)
            return [texts, [...shown.querySelectorAll("a")].map((link) => link.href)]
        }""",
        number,
    )
    return found and (found[0], found[1])


def fit(page: Any) -> None:
    """Have all nodes in sight, and standing still: the page moves there in steps."""
    page.evaluate('async () => { await comfy.extensionManager.command.execute("Comfy.Canvas.FitView") }')
    page.wait_for_timeout(FITTING_MILLISECONDS)


def press(page: Any, number: int, name: str) -> None:
    """Call what a button of a node calls on the canvas."""
    page.evaluate(
        """([number, name]) => {
            const node = comfy.graph.getNodeById(number)
            node.widgets.find((each) => each.name === name).callback(null, comfy.canvas, node)
        }""",
        [number, name],
    )


def open_help(page: Any, number: int) -> None:
    """Open a node's page of help beside the canvas, as the button does that appears with a selected node."""
    x, y = page.evaluate(
        """number => {
            const box = comfy.canvas.canvas.getBoundingClientRect(), { scale, offset } = comfy.canvas.ds
            const [x, y] = comfy.graph.getNodeById(number).pos
            return [box.left + (x + 80 + offset[0]) * scale, box.top + (y - 15 + offset[1]) * scale]
        }""",
        number,
    )
    page.mouse.click(x, y)
    page.get_by_test_id("info-button").click()
