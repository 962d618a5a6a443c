"""Stand-in for ``comfy_api.util``: the fields of core 0.3.64, which 0.33 has too."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any


@dataclass
class VideoComponents:
    images: Any
    frame_rate: Fraction
    audio: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None
