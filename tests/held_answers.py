"""Answers of the server that a page in a browser does not get until a test says so."""

from __future__ import annotations

from playwright.sync_api import Page, Route


class HeldAnswers:
    """Holds every request of ``page`` to ``pattern`` until ``release``; later ones go through at once."""

    def __init__(self, page: Page, pattern: str) -> None:
        self._held: list[Route] = []
        self._is_over = False
        page.route(pattern, self._hold)

    def _hold(self, route: Route) -> None:
        if self._is_over:
            route.continue_()
        else:
            self._held.append(route)

    def release(self) -> None:
        self._is_over = True
        for route in self._held:
            route.continue_()
