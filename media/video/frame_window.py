"""Which frames of a film are loaded, and how large: the numbers of VideoHelperSuite's Load Video.

The numbers mean there and here: pictures follow each other at ``force_rate``, or as they are in the file
where that is 0; of these the first ``skip_first_frames`` are left out, then every ``select_every_nth`` is
taken, up to ``frame_load_cap`` of them. The picture shown at an instant is the first one in the file whose
time is not before it. What that package works out from a rate, the file's own times decide here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType
from typing import Protocol, TypeVar

from ...errors import MediaError, sentence

NONE = "None"
# Of the rounding of times in a file; 1 ms in Matroska, and finer in most others.
TOLERANCE_SECONDS = Fraction(1, 1000)


@dataclass(frozen=True)
class Preset:
    """What a kind of video model takes: pictures a second, 0 for any; sides that are multiples of
    ``multiple`` pixels; and frame counts of the form ``frames[0] * n + frames[1]``.
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


class Timed(Protocol):
    """A frame: its place in the file's order of showing, and the instant it is shown at, from the start."""

    @property
    def index(self) -> int: ...
    @property
    def seconds(self) -> Fraction: ...


F = TypeVar("F", bound=Timed)


@dataclass(frozen=True)
class Window:
    """What was asked for. Zero is "as in the file", and "no limit" for ``frame_load_cap``."""

    force_rate: float = 0
    custom_width: int = 0
    custom_height: int = 0
    frame_load_cap: int = 0
    skip_first_frames: int = 0
    select_every_nth: int = 1
    preset: Preset = PRESETS[NONE]

    @property
    def rate(self) -> Fraction:
        """Pictures a second before every nth is taken, the preset's where none is set; 0 as in the file."""
        return Fraction(self.force_rate or self.preset.rate).limit_denominator(1001)

    @property
    def start_seconds(self) -> Fraction | None:
        """The instant of the first picture; None where only counting tells, because no rate is set."""
        return self.skip_first_frames / self.rate if self.rate else None

    def size(self, width: int, height: int, multiple: int = 1) -> tuple[int, int]:
        """Width and height for a film of ``width`` x ``height``.

        One side given keeps the ratio, both are taken as they are. Then each becomes the nearest multiple of
        ``multiple`` and the preset's, at least one of them.
        """
        step = math.lcm(multiple, self.preset.multiple)
        wide, high = Fraction(self.custom_width or width), Fraction(self.custom_height or height)
        if self.custom_width and not self.custom_height:
            high = Fraction(height * self.custom_width, width)
        elif self.custom_height and not self.custom_width:
            wide = Fraction(width * self.custom_height, height)
        return _nearest(wide, step), _nearest(high, step)

    def count(self, frames: int, seconds: Fraction) -> int:
        """How many frames a film of so many, lasting so long, gives at the most; of whole preset lengths."""
        available = math.floor(seconds * self.rate) + 1 if self.rate else frames
        chosen = max(0, -(-(available - self.skip_first_frames) // self.select_every_nth))
        return self.whole(min(chosen, self.frame_load_cap or chosen))

    def whole(self, count: int) -> int:
        """The largest length that the preset allows and that is not more than ``count``; 0 for none."""
        step, rest = self.preset.frames
        return (count - rest) // step * step + rest if count >= rest else 0

    def choose(self, frames: Iterable[F]) -> Iterator[F]:
        """Of the frames in order of showing, from the first one wanted or earlier, those that are loaded.

        One may come several times, where the rate is higher than the file's. Ends with the last one wanted.
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

    def _wanted(self, number: int) -> Callable[[Timed], bool]:
        """Whether a frame is the one to load as number ``number``, counted from 0."""
        place = self.skip_first_frames + number * self.select_every_nth
        if not self.rate:
            return lambda frame: frame.index >= place and frame.index - place < 1
        instant = place / self.rate - TOLERANCE_SECONDS
        return lambda frame: frame.seconds >= instant


def _nearest(side: Fraction, multiple: int) -> int:
    return max(1, math.floor(side / multiple + Fraction(1, 2))) * multiple


def window(
    force_rate: float,
    custom_width: int,
    custom_height: int,
    frame_load_cap: int,
    skip_first_frames: int,
    select_every_nth: int,
    preset: str,
) -> Window:
    """What a node's inputs ask for. Raises MediaError for numbers that mean nothing."""
    if preset not in PRESETS:
        raise _refusal(f"the format {preset!r} is unknown", f"Choose one of {', '.join(PRESETS)}.")
    numbers = (force_rate, custom_width, custom_height, frame_load_cap, skip_first_frames)
    if min(numbers) < 0 or select_every_nth < 1 or not math.isfinite(force_rate):
        raise _refusal(
            "a number is negative or none", "Set select_every_nth to 1 or more, others to 0 or more."
        )
    return Window(
        force_rate,
        custom_width,
        custom_height,
        frame_load_cap,
        skip_first_frames,
        select_every_nth,
        PRESETS[preset],
    )


def _refusal(said: str, advice: str) -> MediaError:
    return MediaError(sentence("choose frames", "Load Video from Cloud", said, advice))
