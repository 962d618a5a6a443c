"""Stand-in for ComfyUI's ``server.PromptServer``: it notes texts and routes; the queue holds what a test puts
there.
"""

from aiohttp import web


class PromptQueue:
    def __init__(self) -> None:
        self.currently_running: dict[int, tuple[object, ...]] = {}


class PromptServer:
    instance: "PromptServer"

    def __init__(self) -> None:
        self.client_id: str | None = "browser"
        self.prompt_queue = PromptQueue()
        self.texts: list[tuple[str, str, str | None]] = []
        self.routes = web.RouteTableDef()
        self.app = web.Application()

    def send_progress_text(self, text: str, node_id: str, sid: str | None = None) -> None:
        self.texts.append((text, node_id, sid))


PromptServer.instance = PromptServer()
