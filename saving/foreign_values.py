"""Values that a workflow of another package brings to our save nodes, taken as they are meant there.

A package whose node ids are the same has, where ours have ``if_exists`` and ``link``, the widgets
``presign``, a boolean, and ``expires_hours``, a number. A workflow brings them by place, the API by name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from ..comfyui.input_values import shown
from .choices import IF_EXISTS, LINKS, NEW_NAME, OBJECT_URL, PRESIGNED

MIN_HOURS, MAX_HOURS = 1, 168

T = TypeVar("T")


@dataclass(frozen=True)
class Meant:
    """``choices`` are if_exists, link and expires_hours; ``lines`` say on the node what was taken so."""

    choices: tuple[str, str, int]
    lines: tuple[str, ...] = ()

    def before(self, lines: Sequence[T]) -> list[T | str]:
        """What there is to say here, and then ``lines``."""
        return [*self.lines, *lines]


def meant(
    if_exists: object,
    link: object,
    expires_hours: int,
    prompt: Mapping[str, Any] | None,
    node_id: str | None,
) -> Meant:
    """What the values of a save node mean, those of ``prompt`` that it has no input for among them."""
    inputs = _inputs(prompt, node_id)
    presign, hours = inputs.get("presign"), expires_hours
    if isinstance(if_exists, bool):
        presign = if_exists
        hours = int(link) if _is_number(link) else expires_hours  # type: ignore[call-overload]
    elif not isinstance(presign, bool) or "link" in inputs:
        return Meant((str(if_exists), str(link), expires_hours))
    hours = min(max(hours, MIN_HOURS), MAX_HOURS)
    chosen = PRESIGNED if presign else OBJECT_URL
    line = f"presign of another package's workflow is taken as link: {chosen}, expires_hours: {hours}."
    return Meant((if_exists if if_exists in IF_EXISTS else NEW_NAME, chosen, hours), (line,))


def _inputs(prompt: Mapping[str, Any] | None, node_id: str | None) -> Mapping[str, Any]:
    node = (prompt or {}).get(node_id or "")
    inputs = node.get("inputs") if isinstance(node, Mapping) else None
    return inputs if isinstance(inputs, Mapping) else {}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


class Tolerant:
    """A node that ComfyUI lets run with such values, which are in no list of its drop-downs."""

    @classmethod
    def VALIDATE_INPUTS(cls, if_exists: object = None, link: object = None) -> bool | str:
        """Check what ComfyUI leaves to a node that names these inputs; None is a wire."""
        for name, value, choices, is_foreign in (
            ("if_exists", if_exists, IF_EXISTS, isinstance(if_exists, bool)),
            ("link", link, LINKS, isinstance(if_exists, bool) and _is_number(link)),
        ):
            if value is not None and not is_foreign and not (isinstance(value, str) and value in choices):
                return f"{name} cannot be {shown(value)}. Choose one of: {', '.join(choices)}."
        return True
