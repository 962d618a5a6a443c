"""What is damaged or missing in a file that is loaded.

With ``on_damage`` LOAD the rest of the file is loaded and the node shows what is missing. With FAIL the first
damage raises MediaError.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

from ..errors import MediaError, sentence

LOAD, FAIL = "load what is there", "fail"
ON_DAMAGE = (LOAD, FAIL)  # in the order in which the nodes offer them
MAX_SPANS = 6  # that a line names; it counts the others
GAP_SECONDS = Fraction(1, 4)  # damaged moments that are no further apart are named as one span


def _failure(tried: str, name: str, said: str) -> MediaError:
    return MediaError(sentence(tried, name, said, f"Upload the file again, or set on_damage to `{LOAD}`."))


class ImageDamage:
    """Collects the damage of one image file as sentences, in ``notes``.

    ``name`` is the file's name in messages, ``tried`` the action: "read the image".
    """

    def __init__(self, name: str, tried: str, on_damage: str = LOAD) -> None:
        self._name, self._tried, self._on_damage = name, tried, on_damage
        self.notes: list[str] = []

    def found(self, said: str) -> None:
        """Note damaged pixels: "the file is cut off". Raises MediaError if ``on_damage`` is FAIL."""
        if self._on_damage == FAIL:
            raise _failure(self._tried, self._name, said)
        self.lost(said)

    def lost(self, said: str) -> None:
        """Note lost metadata, such as the rotation. Never raises: the pixels are complete."""
        note = f"{self._name}: {said}."
        if note not in self.notes:
            self.notes.append(note)


class StreamDamage:
    """Collects the damage of one video or audio file. Used by one thread.

    ``wanted`` is "a video" or "an audio file", ``name`` the file's name in messages. Frames are numbered from
    0 as they are loaded; seconds count from the start of the file. The methods that note something raise
    MediaError if ``on_damage`` is FAIL.
    """

    def __init__(self, wanted: str, name: str, on_damage: str = LOAD) -> None:
        self._wanted, self._name, self._fails = wanted, name, on_damage == FAIL
        self._frames: set[int] = set()
        self._lost: list[Fraction] = []
        self._audio: set[Fraction] = set()
        self._end = ""

    def frame(self, index: int) -> None:
        """Note a damaged frame that the decoder concealed."""
        self._frames.add(index)
        self._fail_if_asked()

    def lost(self, seconds: Fraction) -> None:
        """Note a frame near ``seconds`` that was not decoded."""
        self._lost.append(seconds)
        self._fail_if_asked()

    def audio(self, seconds: Fraction) -> None:
        """Note audio near ``seconds`` that was not decoded."""
        self._audio.add(seconds)
        self._fail_if_asked()

    def ends(self, said: str) -> None:
        """Note a file that ends too early: "cut off after 3.20 s"."""
        self._end = said
        self._fail_if_asked()

    def forget_lost(self) -> None:
        """Forget the frames that were not decoded, because the file is decoded a second time."""
        self._lost.clear()

    def lines(self) -> tuple[str, ...]:
        """Return a sentence for each kind of damage; () for an undamaged file."""
        found = []
        if self._frames:
            found.append(f"Damaged frames, counted from 0: {_spans(self._frames, 1, '{:.0f}')}.")
        if self._lost:
            count = len(self._lost)
            near = _spans(self._lost, GAP_SECONDS, "{:.2f}")
            found.append(f"{count} frame{'s' * (count > 1)} could not be decoded, near {near} s.")
        if self._audio:
            near = _spans(self._audio, GAP_SECONDS, "{:.2f}")
            found.append(f"Audio could not be decoded, near {near} s.")
        if self._end:
            found.append(f"The file is {self._end}.")
        return tuple(found)

    def _fail_if_asked(self) -> None:
        if self._fails:
            said = self.lines()[0]
            raise _failure(f"read {self._wanted}", self._name, said[0].lower() + said[1:])


def _spans(values: Iterable[Fraction | int], gap: Fraction | int, form: str) -> str:
    """List the values as text. Values at most ``gap`` apart become one span, "first to last"."""
    spans: list[list[Fraction | int]] = []
    for value in sorted(set(values)):
        if spans and value - spans[-1][1] <= gap:
            spans[-1][1] = value
        else:
            spans.append([value, value])
    shown = [" to ".join(form.format(float(end)) for end in sorted(set(span))) for span in spans[:MAX_SPANS]]
    more = len(spans) - MAX_SPANS
    return ", ".join(shown) + (f" and {more} more places" if more > 0 else "")
