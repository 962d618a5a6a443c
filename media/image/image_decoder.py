"""Decodes an image file to IMAGE and MASK tensors, with exactly the pixels of ComfyUI's own Load Image.

Memory is reserved before it is allocated, by the size in the file's header. Besides the result, decoding
needs at most SPARE_BYTES. Any thread may call these functions.
"""

from __future__ import annotations

import contextlib
import functools
import io
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import torch

from ...errors import MediaError, Unreadable, sentence
from .. import file_kind
from ..damage import ImageDamage
from ..file_kind import JPEG_START, PNG_SIGNATURE
from ..memory_budget import Reservation
from . import comfyui_reader, image_batch, image_truncation, pillow_reader, png_repair
from .comfyui_reader import Components
from .image_batch import CHANNELS, Batch, Frames, Room
from .pillow_reader import Refused, Size

__all__ = ["CHANNELS", "TRIED", "ImageFile"]

logger = logging.getLogger("cloud_storage")

Opened = Callable[[], "contextlib.AbstractContextManager[BinaryIO]"]  # opens a file at its beginning
Attempt = Callable[[Room, ImageDamage, bool], "Batch | None"]
_REPAIR_MAX_BYTES = 1 << 30  # a larger file is not repaired, because it has to be read into memory
TRIED = "read the image"


@dataclass(frozen=True)
class ImageFile:
    """An image file in memory or on disk.

    ``name`` is its name in messages. ``reader`` is ComfyUI's own function to decode a file on disk; it is
    tried first. ``damage`` collects what is missing. ``free_bytes`` returns how much memory is free; None
    means enough.
    """

    source: bytes | Path
    name: str = "no name"
    reader: Components | None = None
    damage: ImageDamage | None = None
    free_bytes: Callable[[], int] | None = None

    def decode(self, *, first_only: bool = False) -> Frames:
        """Return all frames or the first: IMAGE [B, H, W, 3] and MASK [B, H, W] (1 - alpha), float32 in 0..1.

        As in ComfyUI's Load Image with Pillow (0.3), frames are rotated by EXIF, and those of another size
        than the first are skipped. Unlike there, the mask of an image without alpha is zeros of the image's
        size. As in newer ComfyUI, 16-bit grey keeps its bits, and transparent colours (tRNS) are in the mask.
        Newer ComfyUI decodes most files with FFmpeg, which gives slightly different pixels for JPEG:
        ``reader`` does that.

        Of a damaged or truncated file, the part that is there is returned, as in ComfyUI. Raises Unreadable
        if there is none, MediaError if the image is too large.
        """
        return self._read(None, first_only=first_only).images()

    def decode_mask(self, channel: str) -> torch.Tensor:
        """Return one of CHANNELS of every frame as MASK [B, H, W]: 1 - alpha, or zeros without alpha.

        Otherwise like ``decode``. Newer ComfyUI reads all frames too; 0.3 read the first one only.
        """
        return self._read(channel, first_only=False).masks()

    def _read(self, channel: str | None, *, first_only: bool) -> Batch:
        damage = self.damage or ImageDamage(self.name, TRIED)
        problems: list[Exception] = []
        with Reservation("load the image", self.name, self.free_bytes) as reservation:
            room = Room(reservation, channel)
            for read, missing in self._attempts():
                try:
                    batch = read(room, damage, first_only)
                except MediaError:
                    raise
                except Refused as error:
                    raise MediaError(sentence(TRIED, self.name, str(error), error.advice)) from error
                except Exception as error:  # noqa: BLE001  Pillow's plugins raise any; the first is reported
                    logger.debug("%s: an attempt to read it failed: %s", self.name, error)
                    problems.append(error)
                    continue
                if missing:
                    damage.found(missing)
                if batch is not None:
                    return batch
        with self._opened() as file:
            said, advice = _diagnosis(file.read(file_kind.HEAD_BYTES), problems[0])
        kind = MediaError if isinstance(problems[0], MemoryError) else Unreadable
        raise kind(sentence(TRIED, self.name, said, advice)) from problems[0]

    def _attempts(self) -> Iterator[tuple[Attempt, str]]:
        """Yield functions that may read the file, each with what is missing if it succeeds, or ""."""
        if self.reader is not None and isinstance(self.source, Path):
            yield functools.partial(_by_comfyui, self.source, self.reader), ""
        yield functools.partial(_by_pillow, self._opened), ""
        for data, missing in _repaired(self._opened):
            yield functools.partial(_by_pillow, functools.partial(io.BytesIO, data)), missing

    @contextlib.contextmanager
    def _opened(self) -> Iterator[BinaryIO]:
        """Open the file again: Pillow may close a file that it reads."""
        with self.source.open("rb") if isinstance(self.source, Path) else io.BytesIO(self.source) as file:
            yield file


# --- Ways to read it ---------------------------------------------------------------------------------------


def _by_pillow(opened: Opened, room: Room, damage: ImageDamage, first_only: bool) -> Batch:
    with opened() as file:
        size = pillow_reader.size(pillow_reader.opened(file), first_only=first_only)
    room.ask(size.count, size.pixels)
    with opened() as file:  # again: counting the frames has moved to the last one
        return pillow_reader.fill(pillow_reader.opened(file), size, room, damage)


def _by_comfyui(
    path: Path, reader: Components, room: Room, damage: ImageDamage, first_only: bool
) -> Batch | None:
    """Decode with ComfyUI's reader. Returns None if it cannot read the file, or needs too much memory."""
    try:
        with path.open("rb") as file:
            size = pillow_reader.size(pillow_reader.opened(file), first_only=first_only)
    except Refused:
        raise
    except Exception:  # noqa: BLE001  ComfyUI's reader may know a file that Pillow does not
        size = Size(0, 0)
    room.ask(size.count, size.pixels)
    problems: list[str] = []
    try:
        if size.pixels <= comfyui_reader.MAX_PIXELS:
            frames = comfyui_reader.frames(path, reader, problems.append)
        elif size.count == 1:
            frames = map(comfyui_reader.large_frame, [path])
        else:
            return None
        batch = _frame_by_frame(frames, room, first_only)
    except MediaError:
        raise
    except Exception as error:  # noqa: BLE001  Pillow is tried next, as in ComfyUI
        logger.debug("ComfyUI's reader does not take the file: %s", error)
        return None
    if batch is None:
        return None
    with path.open("rb") as file:
        said = image_truncation.damage(file) or ", ".join(dict.fromkeys(problems))
    if said:
        damage.found(f"{said}; what could not be read of the image is empty")
    return batch


def _frame_by_frame(frames: Iterator[comfyui_reader.Frame], room: Room, first_only: bool) -> Batch | None:
    batch = None
    for frame in frames:
        batch = batch or room.begin(*frame[0].shape[:2])
        if batch.filled == batch.room:
            room.more(batch)
        bands = image_batch.bands(*frame)
        del frame  # so that only the bands refer to a large one, and it is freed with the last of them
        batch.add(bands)
        if first_only:
            break
    return batch


def _repaired(opened: Opened) -> Iterator[tuple[bytes, str]]:
    """Yield repaired files that Pillow may be able to read, each with what is missing in it, or ""."""
    with opened() as file:
        if not file.read(8).startswith((JPEG_START, PNG_SIGNATURE)) or file.seek(0, 2) > _REPAIR_MAX_BYTES:
            return
        file.seek(0)
        data = file.read()
    if data.startswith(JPEG_START):
        yield image_truncation.without_metadata(data), ""
        return
    for kept in png_repair.without_metadata(data):
        yield kept, ""
    repaired = png_repair.repaired(data)
    if repaired is not None:
        yield repaired, "the file is damaged or cut off; what could not be read of the image is empty"


def _diagnosis(head: bytes, error: Exception) -> tuple[str, str]:
    """Return why a file that begins with ``head`` cannot be read, and what to do."""
    from PIL import UnidentifiedImageError

    if isinstance(error, MemoryError):
        return "there is not enough memory for it", "Make it smaller, or free memory."
    if not head:
        return "the file is empty", "Upload it again."
    kind, unidentified = file_kind.kind(head), isinstance(error, UnidentifiedImageError)
    if file_kind.is_any_image(head) and unidentified and not file_kind.is_common_image(head):
        return f"it is {kind}, which is not read here", "Save it as PNG, JPEG or WebP."
    if file_kind.is_any_image(head) or not unidentified:
        said = f"the file is damaged or cut off, it begins like {kind} ({pillow_reader.said(error)})"
        return said, "Upload it again."
    playable = file_kind.is_audio_or_video(head)
    advice = "Load Video or Load Audio from Cloud reads it." if playable else "Choose an image."
    return f"the file is no image but {kind}", advice
