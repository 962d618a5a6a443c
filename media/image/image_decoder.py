"""Reads an image file to IMAGE and MASK tensors, as ComfyUI's own Load Image does, bit for bit.

Memory is asked for before it is taken, by what the file's header says; beside the result no more than
SPARE_BYTES are needed, whatever the size. Every function may be called from any thread.
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

from ...errors import MediaError, sentence
from .. import file_kind
from ..damage import Damage
from ..memory_budget import Promise
from . import comfyui_reader, image_batch, image_truncation, pillow_reader, png, png_repair
from .comfyui_reader import Components
from .image_batch import CHANNELS, Batch
from .pillow_reader import Refused, Size

__all__ = ["CHANNELS", "TRIED", "ImageFile"]

logger = logging.getLogger("cloud_storage")

Opened = Callable[[], "contextlib.AbstractContextManager[BinaryIO]"]  # a file, from its beginning
Frames = tuple[torch.Tensor, torch.Tensor]  # IMAGE [B, H, W, 3] and MASK [B, H, W], float32 in 0..1
SPARE_BYTES = 300 << 20  # for the decoder, beside the frames
MAX_PIXELS = 1 << 30  # of all frames of a file together: 16 GiB of IMAGE and MASK
_REPAIR_MAX_BYTES = 1 << 30  # of a file that is read whole to be repaired
TRIED = "read the image"


@dataclass(frozen=True)
class ImageFile:
    """An image file, in memory or on the disk, that ``decode`` or ``decode_mask`` reads.

    ``name`` stands for it in messages. ``reader`` is ComfyUI's own way to read a file on the disk, which goes
    first. ``damage`` is told what is missing; ``free_bytes`` tells how much memory is free, None for enough.
    """

    source: bytes | Path
    name: str = "no name"
    reader: Components | None = None
    damage: Damage | None = None
    free_bytes: Callable[[], int] | None = None

    def decode(self, *, first_only: bool = False) -> Frames:
        """The frames, or the first one: IMAGE [B, H, W, 3] and MASK [B, H, W] (1 - alpha), float32 in 0..1.

        As ComfyUI's Load Image does it with Pillow (0.3): turned upright by EXIF, frames of another size than
        the first left out. Different, and meant: without alpha the mask is zeros of the image's own size. As
        in newer ComfyUI, 16-bit grey keeps its bits, and colours declared transparent (tRNS) are. That one
        reads most files through FFmpeg, and JPEGs come out a little different; that is what ``reader`` is.

        Of a damaged or cut-off file comes the part that is there, as in ComfyUI. Raises MediaError where
        there is no image, or one that is too large.
        """
        return self._read(None, first_only=first_only).images()

    def decode_mask(self, channel: str) -> torch.Tensor:
        """One of CHANNELS of every frame as MASK [B, H, W]: alpha inverted, and zeros where there is none.

        Otherwise as ``decode``. All frames as in newer ComfyUI; 0.3 looked at the first one only.
        """
        return self._read(channel, first_only=False).masks()

    def _read(self, channel: str | None, *, first_only: bool) -> Batch:
        damage = self.damage or Damage(self.name, TRIED)
        with Promise(self.free_bytes or _enough) as promise:
            room = _Room(promise, self.name, channel)
            try:
                if self.reader is not None and isinstance(self.source, Path):
                    batch = _by_host(self.source, room, self.reader, damage, first_only=first_only)
                    if batch is not None:
                        return batch
                return _by_pillow(self._opened, room, damage, first_only=first_only)
            except MediaError:
                raise
            except Refused as error:
                raise MediaError(sentence(TRIED, self.name, str(error), error.advice)) from error
            except Exception as error:  # noqa: BLE001  Pillow's plugins raise what they like; it is told below
                problem = error
        with Promise(self.free_bytes or _enough) as promise, self._opened() as file:
            room = _Room(promise, self.name, channel)
            for data, missing in _repaired(file):
                try:
                    opened = functools.partial(io.BytesIO, data)
                    batch = _by_pillow(opened, room, damage, first_only=first_only)
                except MediaError:
                    raise
                except Exception as error:  # noqa: BLE001  what was wrong in the first place is told below
                    logger.debug("%s: the repaired file cannot be read either: %s", self.name, error)
                    continue
                if missing:
                    damage.found(missing)
                return batch
            file.seek(0)
            said, advice = _diagnosis(file.read(file_kind.HEAD_BYTES), problem)
        raise MediaError(sentence(TRIED, self.name, said, advice)) from problem

    @contextlib.contextmanager
    def _opened(self) -> Iterator[BinaryIO]:
        """The file anew: Pillow may close one that it reads."""
        with self.source.open("rb") if isinstance(self.source, Path) else io.BytesIO(self.source) as file:
            yield file


def _enough() -> int:
    return 1 << 62


class _Room:
    """Memory for the frames of a file, promised before it is taken."""

    def __init__(self, promise: Promise, name: str, channel: str | None) -> None:
        self._promise, self._name, self._channel = promise, name, channel
        self._count, self._promised = 0, 0

    def ask(self, size: Size) -> None:
        """Have room for what the header says. Raises MediaError where there is none."""
        if size.pixels * max(1, size.count) > MAX_PIXELS:
            said = f"its frames have more than {MAX_PIXELS:,} pixels"
            raise MediaError(sentence(TRIED, self._name, said, "Make it smaller."))
        self._count = max(1, size.count)
        self._take(self._count * image_batch.frame_bytes(size.pixels, self._channel))

    def begin(self, height: int, width: int) -> Batch:
        self._take(self._count * image_batch.frame_bytes(height * width, self._channel))
        return Batch(self._count, height, width, self._channel)

    def more(self, batch: Batch) -> None:
        """Room for further frames than the header spoke of: as many again."""
        if batch.height * batch.width * batch.room * 2 > MAX_PIXELS:
            self.ask(Size(batch.room * 2, batch.height * batch.width))
        self._take(self._promised * 2)
        batch.grow(batch.room * 2)

    def _take(self, total: int) -> None:
        needed = total - self._promised
        if needed > 0:
            self._promise.take(lambda free: self._checked(total, needed, free))
            self._promised = total

    def _checked(self, total: int, needed: int, free: int) -> int:
        if needed <= free - SPARE_BYTES:
            return needed
        frames = f"its {self._count} frames take" if self._count > 1 else "it takes"
        left = max(0, free - SPARE_BYTES + total - needed)
        said = f"{frames} {total / 1e9:.1f} GB as a tensor, and {left / 1e9:.1f} GB of memory are free for it"
        advice = "Free memory, make it smaller, or take fewer frames of it with Load Video from Cloud."
        if self._count == 1:
            advice = "Free memory, or make it smaller."
        raise MediaError(sentence("load the image", self._name, said, advice))


# --- Ways to read it ---------------------------------------------------------------------------------------


def _by_pillow(opened: Opened, room: _Room, damage: Damage, *, first_only: bool) -> Batch:
    with opened() as file:
        size = pillow_reader.size(pillow_reader.opened(file), first_only=first_only)
    room.ask(size)
    with opened() as file:  # anew: who asks how many frames there are has moved to the last
        return pillow_reader.fill(pillow_reader.opened(file), size, room, damage)


def _by_host(
    path: Path, room: _Room, reader: Components, damage: Damage, *, first_only: bool
) -> Batch | None:
    """None where ComfyUI's reader does not take the file, or takes too much memory for it."""
    try:
        with path.open("rb") as file:
            size = pillow_reader.size(pillow_reader.opened(file), first_only=first_only)
    except Refused:
        raise
    except Exception:  # noqa: BLE001  what Pillow does not know is the reader's to judge
        size = Size(0, 0)
    room.ask(size)
    problems: list[str] = []
    try:
        if size.pixels <= comfyui_reader.MAX_PIXELS:
            frames = comfyui_reader.frames(path, reader, problems.append)
            batch = _frame_by_frame(frames, room, first_only=first_only)
        elif size.count == 1:
            batch = _of_one([comfyui_reader.large_frame(path)], room)
        else:
            return None
    except MediaError:
        raise
    except Exception as error:  # noqa: BLE001  only this way is lost: Pillow goes next, as in ComfyUI
        logger.debug("ComfyUI's reader does not take the file: %s", error)
        return None
    if batch is None:
        return None
    with path.open("rb") as file:
        said = image_truncation.damage(file) or ", ".join(dict.fromkeys(problems))
    if said:
        damage.found(f"{said}; what could not be read of the picture is empty")
    return batch


def _frame_by_frame(frames: Iterator[comfyui_reader.Frame], room: _Room, *, first_only: bool) -> Batch | None:
    batch = None
    for colours, alpha in frames:
        batch = batch or room.begin(*colours.shape[:2])
        if batch.filled == batch.room:
            room.more(batch)
        batch.add(image_batch.bands(colours, alpha))
        if first_only:
            break
    return batch


def _of_one(frame: list[comfyui_reader.Frame], room: _Room) -> Batch:
    """The batch of one frame, which is taken out of its list, or it would stay in memory until the end."""

    def taken() -> Iterator[image_batch.Band]:
        yield from image_batch.bands(*frame.pop())

    batch = room.begin(*frame[0][0].shape[:2])
    batch.add(taken())
    return batch


def _repaired(file: BinaryIO) -> Iterator[tuple[bytes, str]]:
    """Files that Pillow may read where it gave up on this one, and what each lacks, "" for nothing."""
    head = file.read(8)
    if not head.startswith((b"\xff\xd8", png.SIGNATURE)) or file.seek(0, 2) > _REPAIR_MAX_BYTES:
        return
    file.seek(0)
    data = file.read()
    if head.startswith(b"\xff\xd8"):
        yield image_truncation.without_metadata(data), ""
        return
    for kept in png_repair.without_metadata(data):
        yield kept, ""
    repaired = png_repair.repaired(data)
    if repaired is not None:
        yield repaired, "the file is damaged or cut off; what could not be read of the picture is empty"


def _diagnosis(head: bytes, error: Exception) -> tuple[str, str]:
    """What is wrong with a file that begins with ``head`` and cannot be read, and what to do."""
    from PIL import UnidentifiedImageError

    if isinstance(error, MemoryError):
        return "there is not enough memory for it", "Make it smaller, or free memory."
    if not head:
        return "the file is empty", "Upload it again."
    kind, unidentified = file_kind.kind(head), isinstance(error, UnidentifiedImageError)
    if file_kind.is_picture(head) and unidentified and not file_kind.is_common_image(head):
        return f"it is {kind}, which is not read here", "Save it as PNG, JPEG or WebP."
    if file_kind.is_picture(head) or not unidentified:
        said = f"the file is damaged or cut off, it begins like {kind} ({pillow_reader.said(error)})"
        return said, "Upload it again."
    recorded = file_kind.is_recording(head)
    advice = "Load Video or Load Audio from Cloud reads it." if recorded else "Choose an image."
    return f"the file is no image but {kind}", advice
