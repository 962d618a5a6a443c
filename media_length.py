"""Whether a recording is all there, by what its own headers say of its length.

FFmpeg takes the end of a file that was cut off for the end of the film, and says nothing. Only what is
certain counts: a file that does not tell its length is taken for whole.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class File(Protocol):
    """What is read of a source: an open file, bytes in memory, or an object in a bucket."""

    def read(self, size: int = -1, /) -> bytes: ...
    def seek(self, offset: int, whence: int = 0, /) -> int: ...


MAX_BOXES = 64  # of an MP4: a fragmented one has thousands, and each may be a request
_HEADER_BYTES = 64
_BOX_HEADER_BYTES = 8
_BOXES = frozenset(  # what stands at the top level of a file, by ISO/IEC 14496-12 and QuickTime
    (
        *(b"ftyp", b"moov", b"mdat", b"moof", b"mfra", b"free", b"skip", b"wide", b"udta", b"uuid", b"sidx"),
        *(b"styp", b"meta", b"pdin", b"ssix", b"emsg", b"prft", b"imda", b"pnot", b"junk"),
    )
)
_LARGE_SIZE = 1  # in a box's length: the real one follows in 64 bits
_TO_THE_END = 0
# Left in a WAV by a writer to a pipe: 0x7FFFFFFF, SoX's 0x7FFFF024, arecord's 0x80000024. Recorders split
# files at that length, too: one that is near it is taken at its word.
_PLACEHOLDERS = range(0x7FFFF000, 0x80001000)
_EBML_SEGMENT = b"\x18\x53\x80\x67"


def declared_bytes(source: File) -> int | None:
    """How long the file says it is; None where it does not say. Moves the position of ``source``."""
    head = _at(source, 0)
    for begins, read in _READERS:
        if begins(head):
            return read(source, head)
    return None


def is_cut_off(source: File) -> bool:
    """Whether bytes are missing at the end. Moves the position of ``source``."""
    declared = declared_bytes(source)
    return declared is not None and declared > source.seek(0, 2)


def _at(source: File, offset: int) -> bytes:
    source.seek(offset)
    head = b""
    while len(head) < _HEADER_BYTES and (more := source.read(_HEADER_BYTES - len(head))):
        head += more
    return head


def _of_boxes(source: File, head: bytes) -> int | None:
    """The end of the last box of an MP4 or QuickTime file (ISO/IEC 14496-12, 4.2).

    What no box begins with was put behind it by a camera, or a transfer; players do not mind.
    """
    end, size = 0, source.seek(0, 2)
    for _ in range(MAX_BOXES):
        if end >= size:
            return end
        box = _at(source, end)
        length = int.from_bytes(box[:4], "big")
        if length == _LARGE_SIZE:
            length = int.from_bytes(box[8:16], "big")
        is_known = box[4:8] in _BOXES
        if is_known and length == _TO_THE_END:
            return None
        if length < _BOX_HEADER_BYTES or not (is_known or end + length <= size):
            return end
        end += length
    return None


def _of_riff(source: File, head: bytes) -> int | None:
    """An AVI's or WAV's first chunk; its length does not count the 8 bytes that it stands in."""
    length = int.from_bytes(head[4:8], "little")
    if length in (0, 0xFFFFFFFF):  # both are left behind by a writer that streams
        return None
    if length in _PLACEHOLDERS and source.seek(0, 2) < length // 2:
        return None
    return length + 8


def _of_segment(source: File, head: bytes) -> int | None:
    """The segment of a Matroska or WebM file (rfc-editor.org/rfc/rfc8794), which holds all but the header."""
    header = _variable(head[4:])
    if header is None:
        return None
    start = 4 + header[1] + header[0]
    segment = _at(source, start)
    length = _variable(segment[4:]) if segment.startswith(_EBML_SEGMENT) else None
    return None if length is None else start + 4 + length[1] + length[0]


def _variable(data: bytes) -> tuple[int, int] | None:
    """An EBML number and how many bytes it takes; None for "unknown", all bits set."""
    width = 9 - data[0].bit_length() if data and data[0] else 0
    if not width or len(data) < width:
        return None
    value = int.from_bytes(data[:width], "big") & ((1 << 7 * width) - 1)
    return None if value == (1 << 7 * width) - 1 else (value, width)


_READERS: tuple[tuple[Callable[[bytes], bool], Callable[[File, bytes], int | None]], ...] = (
    (lambda head: head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"), _of_boxes),
    (lambda head: head.startswith(b"RIFF"), _of_riff),
    (lambda head: head.startswith(b"\x1a\x45\xdf\xa3"), _of_segment),
)
