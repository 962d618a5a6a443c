"""Stand-in for ComfyUI's ``server.PromptServer``: it notes texts and routes; the queue holds what a test puts
there.
"""

from aiohttp import web


class PromptQueue:
    def __init__(self) -> None:
        self.currently_running: dict[int, tuple[object, ...]] = {}
        self.queue: list[tuple[object, ...]] = []

    def get_current_queue_volatile(self) -> tuple[list[tuple[object, ...]], list[tuple[object, ...]]]:
        return list(self.currently_running.values()), list(self.queue)


class PromptServer:
    instance: "PromptServer"

    def __init__(self) -> None:
        self.client_id: str | None = "browser"
        self.prompt_queue = PromptQueue()
        self.texts: list[tuple[str, str, str | None]] = []
        self.routes = web.RouteTableDef()
        self.app = web.Application()
        self.on_prompt_handlers: list[object] = []
        self.events: list[tuple[str, object, str | None]] = []

    def add_on_prompt_handler(self, handler: object) -> None:
        self.on_prompt_handlers.append(handler)

    def send_sync(self, event: str, data: object, sid: str | None = None) -> None:
        self.events.append((event, data, sid))

    def send_progress_text(self, text: str, node_id: str, sid: str | None = None) -> None:
        self.texts.append((text, node_id, sid))


PromptServer.instance = PromptServer()
