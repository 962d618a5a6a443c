"""Where the pictures of the documents are taken: ComfyUI's page with nothing on it but the nodes, and a
server behind it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from environment import ROOT

if TYPE_CHECKING:
    from help_workflows import Small
    from servers.fault_proxy import FaultProxy

PIXEL_RATIO = 2  # of the page; what is taken is made smaller, which draws small letters best
EDGES = {"left": 90, "top": 150, "right": 420, "bottom": 140}  # room for the page's own bars and messages
AROUND = 24  # pixels of canvas around the nodes
SETTLE_MILLISECONDS = 2_500  # previews and players have no event that says they are drawn

PAGE = {  # nothing on the page but the nodes
    "Comfy.Graph.CanvasInfo": False,
    "Comfy.Graph.CanvasMenu": False,
    "Comfy.Minimap.Visible": False,
    "Comfy.NodeBadge.NodeSourceBadgeMode": "None",
    "Comfy.NodeBadge.NodeIdBadgeMode": "None",
    "Comfy.NodeBadge.NodeLifeCycleBadgeMode": "None",
    "Comfy.RightSidePanel.IsOpen": False,
    "Comfy.VueNodes.Enabled": False,
    "Comfy.Locale": "en",
}

LAY_OUT = """columns => {
    const gap = 60, title = 30
    let x = 0
    for (const column of columns) {
        const nodes = column.map(([id, height]) => [comfy.graph.getNodeById(id), height])
        const width = Math.max(340, ...nodes.map(([node]) => node.size[0]))
        let y = 0
        for (const [node, height] of nodes) {
            node.pos = [x, y]
            node.setSize([width, Math.max(node.size[1], height)])
            y += node.size[1] + title + gap / 2
        }
        x += width + gap
    }
}"""
BOUNDS = """() => {
    const corners = [...comfy.graph.nodes.map((node) => [node.pos, node.size, 30]),
        ...(comfy.graph.groups ?? []).map((group) => [group.pos, group.size, 0])]
    const of = (side, pick) => pick(...corners.map(side))
    const left = of(([pos]) => pos[0], Math.min), top = of(([pos, , title]) => pos[1] - title, Math.min)
    const right = of(([pos, size]) => pos[0] + size[0], Math.max)
    const bottom = of(([pos, size]) => pos[1] + size[1], Math.max)
    return [left, top, right - left, bottom - top]
}"""
VIEW = """([left, top, scale, x, y]) => {
    const box = comfy.canvas.canvas.getBoundingClientRect()
    comfy.canvas.deselectAll?.()
    comfy.canvas.ds.scale = scale
    comfy.canvas.ds.offset = [(x - box.left) / scale - left, (y - box.top) / scale - top]
    comfy.canvas.setDirty(true, true)
}"""

NAME_COMFYUI = """folder => {
    for (const line of document.querySelectorAll(".cs-line"))
        if (line.textContent.includes(folder))
            line.textContent = line.textContent.replaceAll(folder, "ComfyUI")
}"""


@dataclass(frozen=True)
class Size:
    """How large a picture may be, in pixels and bytes. ``scale`` is the largest for a node's own pixels."""

    width: int
    height: int
    most_bytes: int
    scale: float = 1.0


class Studio:
    """ComfyUI's page, and the server behind it, which can be away for a while."""

    def __init__(self, page: Any, address: str, server: FaultProxy, base: Path) -> None:  # noqa: ANN401
        self.page, self.server = page, server
        self._address, self._base = address, base

    def empty(self) -> None:
        """Open the page anew: a node would take over values of one that had its number before."""
        from servers import comfyui_page

        comfyui_page.opened(self.page, self._address)

    def run(self, unplugged: bool = False) -> None:
        """Press Run and wait for success; ``unplugged``, once before that with the server away."""
        if unplugged:
            self.server.refuse()
            try:
                self._succeed()
            finally:
                self.server.resume()
        self._succeed()

    def _succeed(self) -> None:
        from servers import comfyui_page

        ended, detail = comfyui_page.run(self.page)
        if ended != "execution_success":
            raise SystemExit(f"The workflow ended as {ended}: {detail}")
        self.settle()

    def small(self, workflow: Small) -> None:
        """Put a small workflow on the page, run it, and lay it out."""
        from servers import comfyui_page

        self.empty()
        comfyui_page.show_prompt(self.page, workflow.prompt())
        nodes = list(enumerate(workflow.nodes.values(), 1))
        columns = [
            [[number, node.height] for number, node in nodes if node.column == column]
            for column in sorted({node.column for _, node in nodes})
        ]
        self.page.evaluate(LAY_OUT, columns)
        self.run(workflow.unplugged)
        if workflow.pressed:
            number, name = workflow.pressed
            comfyui_page.press(self.page, number, name)
            self.settle()
        self.page.evaluate(LAY_OUT, columns)

    def settle(self) -> None:
        """Wait until the page has drawn what there is to draw."""
        self.page.wait_for_timeout(SETTLE_MILLISECONDS)

    def nodes(self, size: Size) -> bytes:
        """A picture of the nodes, as large as ``size`` lets it be."""
        left, top, width, height = self.page.evaluate(BOUNDS)
        scale = min(size.scale, (size.width - 2 * AROUND) / width, (size.height - 2 * AROUND) / height)
        wide, high = width * scale + 2 * AROUND, height * scale + 2 * AROUND
        self.page.set_viewport_size(
            {
                "width": int(wide + EDGES["left"] + EDGES["right"]),
                "height": int(high + EDGES["top"] + EDGES["bottom"]),
            }
        )
        self.settle()
        x, y = EDGES["left"], EDGES["top"]
        self.page.evaluate(VIEW, [left, top, scale, x + AROUND, y + AROUND])
        self.settle()
        return self.taken({"x": x, "y": y, "width": wide, "height": high})

    def whole(self, size: Size, then: Callable[[Any], None]) -> bytes:
        """The whole page with the nodes in sight, after what ``then`` does on it."""
        from servers import comfyui_page

        self.page.set_viewport_size({"width": size.width, "height": size.height})
        self.settle()
        comfyui_page.fit(self.page)
        then(self.page)
        self.settle()
        return self.taken()

    def taken(self, clip: dict[str, float] | None = None) -> bytes:
        """The page as it is now, or a part of it, as a PNG; it names no folder of this machine."""
        self.page.evaluate(NAME_COMFYUI, str(self._base))
        return bytes(self.page.screenshot(clip=clip) if clip else self.page.screenshot())


@contextmanager
def opened() -> Iterator[Studio]:
    """Everything that is needed, for as long as the block runs."""
    import scenery
    import tryout
    from servers import chromium, comfyui
    from servers.fault_proxy import FaultProxy
    from servers.ministack import MiniStack

    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pictures-")))
        server = stack.enter_context(MiniStack(folder / "s3"))
        server.create_bucket(tryout.BUCKET)
        scenery.files(folder)
        for key, content in scenery.bucket(folder).items():
            server.client().put_object(Bucket=tryout.BUCKET, Key=key, Body=content)
        proxy = stack.enter_context(FaultProxy("127.0.0.1", server.port))
        settings = {
            **tryout.settings_of(server),
            "COMFY_S3_ENDPOINT_URL": proxy.url,
            "COMFY_S3_MODELS": "on demand",
        }
        address = stack.enter_context(comfyui.running(folder / "comfyui", ROOT, settings))
        scenery.local(folder / "comfyui", folder)
        comfyui.configure(address, PAGE)
        browser = stack.enter_context(chromium.browser())
        page = stack.enter_context(chromium.page(browser, 1500, 950, PIXEL_RATIO))
        yield Studio(page, address, proxy, folder / "comfyui")
