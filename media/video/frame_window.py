"""Chooses which frames of a video are loaded, and their size, by the inputs of VideoHelperSuite's Load Video.

Frames are sampled at ``force_rate``, or all of them are used if it is 0. Of these, the first
``skip_first_frames`` are skipped, then every ``select_every_nth`` is taken, at most ``frame_load_cap``. The
frame sampled at a time is the first one in the file that is not shown before it. VideoHelperSuite computes
these times from a frame rate; here the file's own times decide.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType
from typing import TYPE_CHECKING

from ...errors import MediaError, sentence

if TYPE_CHECKING:
    from av import VideoFrame

NONE = "None"
# Files round their times: Matroska to 1 ms, most others less.
TOLERANCE_SECONDS = Fraction(1, 1000)


@dataclass(frozen=True)
class Preset:
    """What a video model takes: a frame rate, 0 for any; sides that are multiples of ``multiple`` pixels; and
    frame counts of the form ``frames[0] * n + frames[1]``.
    """

    rate: int = 0
    multiple: int = 1
    frames: tuple[int, int] = (1, 0)


# The formats of VideoHelperSuite's Load Video (its README, "format"; values in load_video_nodes.py).
PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        NONE: Preset(),
        "AnimateDiff": Preset(8, 8),
        "Mochi": Preset(24, 16, (6, 1)),
        "LTXV": Preset(24, 32, (8, 1)),
        "Hunyuan": Preset(24, 16, (4, 1)),
        "Cosmos": Preset(24, 16, (8, 1)),
        "Wan": Preset(16, 8, (4, 1)),
    }
)


@dataclass(frozen=True)
class TimedFrame:
    """A decoded frame, its number in presentation order from 0, and its time from the start of the video."""

    index: int
    seconds: Fraction
    frame: VideoFrame


@dataclass(frozen=True)
class Window:
    """The inputs of the node. Zero means "as in the file", and "no limit" for ``frame_load_cap``.

    Raises MediaError for an unknown preset and invalid numbers.
    """

    force_rate: float = 0
    custom_width: int = 0
    custom_height: int = 0
    frame_load_cap: int = 0
    skip_first_frames: int = 0
    select_every_nth: int = 1
    preset: str = NONE

    def __post_init__(self) -> None:
        if self.preset not in PRESETS:
            raise _refusal(f"the format {self.preset!r} is unknown", f"Choose one of {', '.join(PRESETS)}.")
        numbers = (self.force_rate, self.custom_width, self.custom_height)
        is_negative = min(*numbers, self.frame_load_cap, self.skip_first_frames) < 0
        if is_negative or self.select_every_nth < 1 or not math.isfinite(self.force_rate):
            said = "a number is negative or not finite"
            raise _refusal(said, "Set select_every_nth to 1 or more, others to 0 or more.")

    @property
    def model(self) -> Preset:
        return PRESETS[self.preset]

    @property
    def rate(self) -> Fraction:
        """The frame rate before every nth is taken, the preset's by default; 0 as in the file."""
        return Fraction(self.force_rate or self.model.rate).limit_denominator(1001)

    @property
    def start_seconds(self) -> Fraction | None:
        """The time of the first frame; None if no rate is set, so that frames have to be counted."""
        return self.skip_first_frames / self.rate if self.rate else None

    def size(self, width: int, height: int, multiple: int = 1) -> tuple[int, int]:
        """Return width and height for a video of ``width`` x ``height``.

        If only one of the custom sides is set, the aspect ratio is kept. Then each side is rounded to the
        nearest multiple, above 0, of ``multiple`` and the preset's.
        """
        step = math.lcm(multiple, self.model.multiple)
        wide, high = Fraction(self.custom_width or width), Fraction(self.custom_height or height)
        if self.custom_width and not self.custom_height:
            high = Fraction(height * self.custom_width, width)
        elif self.custom_height and not self.custom_width:
            wide = Fraction(width * self.custom_height, height)
        return _nearest(wide, step), _nearest(high, step)

    def count(self, frames: int, seconds: Fraction) -> int:
        """Return how many frames are loaded at most of a video with this frame count and duration."""
        available = math.floor(seconds * self.rate) + 1 if self.rate else frames
        chosen = max(0, -(-(available - self.skip_first_frames) // self.select_every_nth))
        return self.whole(min(chosen, self.frame_load_cap or chosen))

    def whole(self, count: int) -> int:
        """Return the largest frame count up to ``count`` that the preset allows; 0 if there is none."""
        step, rest = self.model.frames
        return (count - rest) // step * step + rest if count >= rest else 0

    def choose(self, frames: Iterable[TimedFrame]) -> Iterator[TimedFrame]:
        """Yield the frames to load, of all frames in presentation order from the first one wanted or earlier.

        Yields a frame several times if the rate is higher than the file's. Ends with the last one wanted.
        """
        number = 0
        wanted = self._wanted(number)
        for frame in frames:
            while wanted(frame):
                yield frame
                number += 1
                if number == self.frame_load_cap:
                    return
                wanted = self._wanted(number)

    def _wanted(self, number: int) -> Callable[[TimedFrame], bool]:
        """Return a function that tells whether a frame is the one to load as ``number``, from 0."""
        place = self.skip_first_frames + number * self.select_every_nth
        if not self.rate:
            return lambda frame: frame.index >= place and frame.index - place < 1
        instant = place / self.rate - TOLERANCE_SECONDS
        return lambda frame: frame.seconds >= instant


def _nearest(side: Fraction, multiple: int) -> int:
    return max(1, math.floor(side / multiple + Fraction(1, 2))) * multiple


def _refusal(said: str, advice: str) -> MediaError:
    return MediaError(sentence("choose frames", "Load Video from Cloud", said, advice))
