"""What becomes of a damaged or cut-off file: what can be decoded is loaded and a line says what is missing.

Where the user asks for it (``on_damage``), the load fails instead.
"""

from __future__ import annotations

from ..errors import MediaError, sentence

LOAD, FAIL = "load what is there", "fail"
ON_DAMAGE = (LOAD, FAIL)  # in the order in which the nodes offer them


class Damage:
    """Collects what is missing of one file as sentences for the node's line, in ``notes``; or fails at once.

    ``name`` stands for the file and ``tried`` for what is done with it: "read the image".
    """

    def __init__(self, name: str, tried: str, on_damage: str = LOAD) -> None:
        self._name, self._tried, self._on_damage = name, tried, on_damage
        self.notes: list[str] = []

    def found(self, said: str) -> None:
        """Note what is missing: "the file is cut off". Raises MediaError where on_damage is FAIL."""
        if self._on_damage == FAIL:
            advice = f"Upload it again, or set on_damage to `{LOAD}`."
            raise MediaError(sentence(self._tried, self._name, said, advice))
        self.lost(said)

    def lost(self, said: str) -> None:
        """Note what is missing beside the picture or sound, a rotation for one: no reason to fail."""
        note = f"{self._name}: {said}."
        if note not in self.notes:
            self.notes.append(note)
