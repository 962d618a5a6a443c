"""Stand-in for ``comfy_execution.graph``."""


class ExecutionBlocker:
    def __init__(self, message: str | None) -> None:
        self.message = message
