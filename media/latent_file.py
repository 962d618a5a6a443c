"""Latents as ComfyUI's ``.latent`` files: what its own Save Latent writes and Load Latent reads, bit for bit.

Those have the tensor ``latent_tensor``, the empty marker ``latent_format_version_0``, and the prompt and the
workflow as metadata (nodes.py in core 0.3.64 and 0.33), whose order safetensors chooses anew each time. A
LATENT may hold more than ``samples``: a mask of where to sample, the numbers of a batch. That is written
beside it, where core's Load Latent overlooks it: tensors under their own names, all else as JSON in the
metadata.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import MediaError, Unreadable, sentence

if TYPE_CHECKING:
    import torch

SAMPLES, TENSOR, MARKER = "samples", "latent_tensor", "latent_format_version_0"
OLD_FACTOR = 1.0 / 0.18215  # of files without the marker, as core's Load Latent applies it
OTHERS = "cloud_storage_latent"  # the name in the metadata of what is no tensor, and of how tensors belong
EXTENSION, MEDIA_TYPE = "latent", "application/octet-stream"
MOST_PARTS = 64  # of a latent of several: video and audio are two
SHOWN = 60  # characters of a name, in a sentence

Tensors = dict[str, "torch.Tensor"]


def encode(latent: Mapping[str, Any], texts: Mapping[str, str] | None) -> tuple[bytes, tuple[str, ...]]:
    """The bytes of a file, and a sentence for each value that cannot be written. ``texts`` are the prompt and
    the workflow by name, None to embed none.

    Raises MediaError if ``samples`` is no tensor that a file can hold.
    """
    from safetensors.torch import save

    tensors, values, nested, notes = Tensors(), {}, {}, []
    for key, value in latent.items():
        name = TENSOR if key == SAMPLES else key
        if not isinstance(key, str) or key in (TENSOR, MARKER):
            notes.append(f"{str(key)[:SHOWN]!r} was left out of the file: a file cannot have this name.")
        elif _is_tensor(value):
            tensors[name] = value if key == SAMPLES else value.clone()  # safetensors refuses shared memory
        elif getattr(value, "is_nested", False) and all(map(_is_tensor, value.unbind())):
            parts = value.unbind()
            nested[name] = len(parts)
            tensors.update({f"{name}.{number}": part.clone() for number, part in enumerate(parts)})
        elif key == SAMPLES:
            raise _unwritable("its samples are no tensor")
        elif _is_json(value):
            values[key] = value
        else:
            notes.append(f"{key[:SHOWN]!r} was left out of the file: it is neither a tensor nor JSON.")
    metadata = (
        None if texts is None else {"prompt": "", **texts}
    )  # core writes an empty one where there is none
    if values or nested:
        metadata = {**(metadata or {}), OTHERS: json.dumps({"values": values, "nested": nested})}
    try:
        whole = {name: tensor.contiguous() for name, tensor in tensors.items()}
        return save({**whole, MARKER: _empty()}, metadata=metadata), tuple(notes)
    except Exception as error:  # whatever safetensors and torch raise for a tensor without bytes of its own
        raise _unwritable(f"its tensors cannot be written ({type(error).__name__})") from error


def decode(
    path: Path, name: str, nest: Callable[[Sequence[torch.Tensor]], Any] | None = None
) -> dict[str, Any]:
    """The LATENT of a file; ``samples`` in float32, as core's Load Latent gives them. ``nest`` makes one
    value of several tensors, as models with several streams have them.

    Raises Unreadable for a file that is no latent.
    """
    from safetensors import safe_open

    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            metadata = file.metadata() or {}
            tensors = {key: file.get_tensor(key).clone() for key in file.keys()}  # noqa: SIM118  no mapping
    except Exception as error:  # SafetensorError is none of Python's own, and a cut file raises others
        raise _unreadable(name, "it is no safetensors file, or not all of it") from error
    factor = 1.0 if tensors.pop(MARKER, None) is not None else OLD_FACTOR
    others = _others(metadata)
    for joined, count in others["nested"].items():
        parts = [tensors.pop(f"{joined}.{number}", None) for number in range(count)]
        if nest is None or None in parts:
            raise _unreadable(name, f"this version of ComfyUI knows no latent of {count} parts")
        tensors[joined] = nest(parts)
    if TENSOR not in tensors:
        raise _unreadable(name, f"it has no {TENSOR}")
    samples = tensors.pop(TENSOR).float() * factor
    return {**others["values"], **tensors, SAMPLES: samples}


def _others(metadata: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """What this package has written beside the tensors; nothing if somebody else wrote it otherwise."""
    try:
        found = json.loads(metadata.get(OTHERS, "{}"))
        values, nested = dict(found.get("values", {})), dict(found.get("nested", {}))
        counts = {str(key): int(count) for key, count in nested.items() if 0 < int(count) <= MOST_PARTS}
    except (ValueError, TypeError, AttributeError, RecursionError):
        return {"values": {}, "nested": {}}
    return {"values": values, "nested": counts}


def _is_tensor(value: object) -> bool:
    import torch

    return isinstance(value, torch.Tensor)


def _empty() -> torch.Tensor:
    import torch

    return torch.tensor([])


def _is_json(value: object) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def _unwritable(said: str) -> MediaError:
    return MediaError(sentence("save the latent", "its input", said, "Check the node that makes it."))


def _unreadable(name: str, said: str) -> Unreadable:
    return Unreadable(
        sentence(
            "load the latent", name, said, "Choose the key of a .latent file of ComfyUI, or upload it again."
        )
    )
