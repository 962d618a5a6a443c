"""Stand-in for ``comfy.utils.ProgressBar``: it notes what is drawn and raises the interrupt, as the host."""

from .model_management import throw_exception_if_processing_interrupted

drawn: list[tuple[str | None, int, int]] = []


class ProgressBar:
    def __init__(self, total: int, node_id: str | None = None) -> None:
        self.total, self.node_id, self.current = total, node_id, 0

    def update_absolute(self, value: int, total: int | None = None, preview: object = None) -> None:
        if total is not None:
            self.total = total
        self.current = min(value, self.total)
        throw_exception_if_processing_interrupted()
        drawn.append((self.node_id, self.current, self.total))

    def update(self, value: int) -> None:
        self.update_absolute(self.current + value)
