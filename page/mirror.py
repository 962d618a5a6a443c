"""What the Transfers panel asks of the mirror. Any thread but the event loop; no request to a bucket."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..mirror import service

Said = Mapping[str, Any]  # a JSON object


def state(_said: Said) -> dict[str, Any]:
    """Return what waits, what is being sent and what failed, for each profile."""
    return service.mirror().state()


def retry(_said: Said) -> dict[str, Any]:
    """Send what waits now, also what failed or pauses. Returns the state."""
    service.mirror().retry()
    return state(_said)
