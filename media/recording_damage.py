"""What of a film or sound could not be read: collected while it is read, told in plain lines afterwards.

With ``on_damage`` set to ``fail`` the first thing found is an error instead.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

from ..errors import MediaError, sentence
from .damage import FAIL, LOAD

MOST_SPANS = 6  # named in a line; of more it says how many
GAP_SECONDS = Fraction(1, 4)  # between damaged moments of sound that are told as one


class RecordingDamage:
    """The damage of one file, called ``name`` in errors. Used by one thread.

    Frames are counted from 0 as they were loaded, seconds from the start of the file. Every method that notes
    something raises MediaError where the user wants that.
    """

    def __init__(self, wanted: str, name: str, on_damage: str = LOAD) -> None:
        self._wanted, self._name, self._fails = wanted, name, on_damage == FAIL
        self._frames: set[int] = set()
        self._lost: list[Fraction] = []
        self._moments: set[Fraction] = set()
        self._end = ""

    def frame(self, index: int) -> None:
        """A frame came damaged; the decoder has mended it as well as it can."""
        self._frames.add(index)
        self._fail_if_asked()

    def lost(self, seconds: Fraction) -> None:
        """A frame near ``seconds`` could not be decoded."""
        self._lost.append(seconds)
        self._fail_if_asked()

    def sound(self, seconds: Fraction) -> None:
        """Some sound near ``seconds`` could not be decoded."""
        self._moments.add(seconds)
        self._fail_if_asked()

    def ends(self, said: str) -> None:
        """The file ends before it should: "cut off after 3.20 s"."""
        self._end = said
        self._fail_if_asked()

    def read_again(self) -> None:
        """What was lost is counted anew."""
        self._lost.clear()

    def lines(self) -> tuple[str, ...]:
        """What there is to say, nothing for a sound file."""
        found = []
        if self._frames:
            found.append(f"Damaged frames, counted from 0: {_named(self._frames, 1, '{}')}.")
        if self._lost:
            count = len(self._lost)
            near = _named(self._lost, GAP_SECONDS, "{:.2f}")
            found.append(f"{count} frame{'s' * (count > 1)} could not be decoded, near {near} s.")
        if self._moments:
            found.append(
                f"Sound could not be decoded, near {_named(self._moments, GAP_SECONDS, '{:.2f}')} s."
            )
        if self._end:
            found.append(f"The file is {self._end}.")
        return tuple(found)

    def _fail_if_asked(self) -> None:
        if self._fails:
            said = self.lines()[0]
            advice = f"Upload the file again, or set on_damage to `{LOAD}`."
            raise MediaError(sentence(f"read {self._wanted}", self._name, said[0].lower() + said[1:], advice))


def _named(values: Iterable[Fraction | int], gap: Fraction | int, form: str) -> str:
    """The values in a few words; those that lie no more than ``gap`` apart are named as "first to last"."""
    spans: list[list[Fraction | int]] = []
    for value in sorted(set(values)):
        if spans and value - spans[-1][1] <= gap:
            spans[-1][1] = value
        else:
            spans.append([value, value])
    shown = [
        " to ".join(form.format(_number(end)) for end in sorted(set(span))) for span in spans[:MOST_SPANS]
    ]
    more = len(spans) - MOST_SPANS
    return ", ".join(shown) + (f" and {more} more places" if more > 0 else "")


def _number(value: Fraction | int) -> float | int:
    return value if isinstance(value, int) else float(value)
