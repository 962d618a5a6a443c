"""Finds out whether bytes are missing at the end of a video or audio file, by the lengths in its headers.

FFmpeg takes the end of a truncated file for the end of the video and reports nothing. A length in a header is
a hint: programs that stream leave it wrong. So only the length of the media data itself counts, and a file
without one counts as complete. The caller has to check whether frames or samples are missing as well.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .container import File, opened_file
from .file_kind import EBML_HEADER, ISO_BOXES

MAX_BOXES = 64  # read of an MP4: a fragmented one has thousands, and each may be a request
_HEADER_BYTES = 64
_BOX_HEADER_BYTES = 8
# The boxes at the top level of a file (ISO/IEC 14496-12 and QuickTime)
_TOP_BOXES = frozenset(
    (
        *ISO_BOXES,
        *(b"moof", b"mfra", b"udta", b"uuid", b"sidx"),
        *(b"styp", b"meta", b"pdin", b"ssix", b"emsg", b"prft", b"imda", b"pnot", b"junk"),
    )
)
_LARGE_SIZE = 1  # as a box's length: the real length follows in 64 bits
_TO_THE_END = 0
# Lengths written by programs that write to a pipe: 0x7FFFFFFF, SoX's 0x7FFFF024 (WAV) and about 0x7F000000
# (AIFF), arecord's 0x80000024. Recorders also split files near this size; such a length is believed.
_PLACEHOLDERS = range(0x7EFF0000, 0x80001000)
_RIFFS = (b"RIFF", b"RF64", b"BW64")
_SAMPLES = (b"data", b"SSND")
MAX_CHUNKS = 200
_EBML_SEGMENT = b"\x18\x53\x80\x67"


def declared_bytes(source: File) -> int | None:
    """Return the length that the headers state, in bytes; None if they state none. Moves the position."""
    head = _at(source, 0)
    for begins, read in _READERS:
        if begins(head):
            return read(source, head)
    return None


def is_truncated(source: File | Path) -> bool:
    """Return whether bytes are missing at the end. Moves the position of a File."""
    with opened_file(source) as file:
        declared = declared_bytes(file)
        return declared is not None and declared > file.seek(0, 2)


def mp3_frame_bytes(head: bytes) -> int | None:
    """Return the length of the MP3 frame that begins with these 4 bytes; None for anything else.

    See ISO/IEC 11172-3 and 13818-3, 2.4.2.3. Returns None for a free-format bit rate or sample rate, too.
    """
    bits = int.from_bytes(head[:4], "big")
    version, layer = bits >> 19 & 3, bits >> 17 & 3
    if bits >> 21 != 0x7FF or version == 1 or layer != 1:  # noqa: PLR2004
        return None
    rate_index, sampling = bits >> 12 & 15, bits >> 10 & 3
    if rate_index in (0, 15) or sampling == 3:  # noqa: PLR2004
        return None
    is_first = version == 3  # noqa: PLR2004  MPEG-1; 2 halves the sampling rate, 2.5 once more
    kbit = (_MPEG1_KBIT if is_first else _MPEG2_KBIT)[rate_index - 1]
    hertz = (44_100, 48_000, 32_000)[sampling] >> {3: 0, 2: 1, 0: 2}[version]
    return (144_000 if is_first else 72_000) * kbit // hertz + (bits >> 9 & 1)


_MPEG1_KBIT = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_MPEG2_KBIT = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)


def _at(source: File, offset: int) -> bytes:
    source.seek(offset)
    head = b""
    while len(head) < _HEADER_BYTES and (more := source.read(_HEADER_BYTES - len(head))):
        head += more
    return head


def _of_boxes(source: File, head: bytes) -> int | None:
    """Return where the last box of an MP4 or QuickTime file ends (ISO/IEC 14496-12, 4.2).

    Cameras and transfers append bytes that are no box; players ignore them, and so does this.
    """
    end, size = 0, source.seek(0, 2)
    for _ in range(MAX_BOXES):
        if end >= size:
            return end
        box = _at(source, end)
        length = int.from_bytes(box[:4], "big")
        if length == _LARGE_SIZE:
            length = int.from_bytes(box[8:16], "big")
        is_known = box[4:8] in _TOP_BOXES
        if is_known and length == _TO_THE_END:
            return None
        if length < _BOX_HEADER_BYTES or not (is_known or end + length <= size):
            return end
        end += length
    return None


@dataclass(frozen=True)
class _Chunks:
    """How a format is divided into chunks. The first one is at ``start``, each at a multiple of ``step``.

    A chunk begins with its name and its length, which take ``name`` and ``length`` bytes. If ``whole``, the
    length includes these bytes.
    """

    start: int
    name: int
    length: int
    order: Literal["little", "big"]
    step: int = 1
    whole: bool = False

    def end(self, source: File, head: bytes) -> int | None:
        """Return where the chunk of the audio samples, or of an AVI's frames, ends; None if unknown.

        The length of the whole file, in the first header, is not used: many recorders write a wrong one. An
        AVI above 1 GiB is several RIFFs in a row (OpenDML AVI File Format Extensions, 1996).
        """
        position, size, end, large = self.start, source.seek(0, 2), None, 0
        header = self.name + self.length
        for _ in range(MAX_CHUNKS):
            chunk = _at(source, position)
            if len(chunk) < header:
                break
            name, data = chunk[:4], chunk[header:]
            if name in _RIFFS:
                position += self.start
                continue
            length = int.from_bytes(chunk[self.name : header], self.order)
            if name == b"ds64":  # the lengths that do not fit into 32 bits (EBU Tech 3306)
                large = int.from_bytes(data[8:16], "little")
            if name in _SAMPLES or (name == b"LIST" and data.startswith(b"movi")):
                unknown = (1 << 8 * self.length) - 1
                length = large if length == unknown and large else length
                if length in (0, unknown) or _is_placeholder(length, size):
                    return None
                end = position + length + (0 if self.whole else header)
            position += max(1, length) + (0 if self.whole else header)
            following = -(-position // self.step) * self.step
            # Some programs omit the padding byte.
            is_padded = self.step > 2 or not _at(source, position)[:4].isalnum()  # noqa: PLR2004
            position = following if is_padded else position
        return end


def _of_au(source: File, head: bytes) -> int | None:
    """Return where the samples of an AU file end: its header has their offset and length."""
    offset, length = (int.from_bytes(head[place : place + 4], "big") for place in (4, 8))
    unknown = length in (0, 0xFFFFFFFF) or _is_placeholder(length, source.seek(0, 2))
    return None if unknown else offset + length


def _is_placeholder(length: int, size: int) -> bool:
    """Return whether a length was written by a program that writes to a pipe: the file has less than half."""
    return length in _PLACEHOLDERS and size < length // 2


def _of_segment(source: File, head: bytes) -> int | None:
    """Return where the segment of a Matroska or WebM file ends (rfc-editor.org/rfc/rfc8794)."""
    header = _variable(head[4:])
    if header is None:
        return None
    start = 4 + header[1] + header[0]
    segment = _at(source, start)
    length = _variable(segment[4:]) if segment.startswith(_EBML_SEGMENT) else None
    return None if length is None else start + 4 + length[1] + length[0]


def _variable(data: bytes) -> tuple[int, int] | None:
    """Return an EBML number and its length in bytes; None for "unknown", which has all bits set."""
    width = 9 - data[0].bit_length() if data and data[0] else 0
    if not width or len(data) < width:
        return None
    value = int.from_bytes(data[:width], "big") & ((1 << 7 * width) - 1)
    return None if value == (1 << 7 * width) - 1 else (value, width)


_READERS: tuple[tuple[Callable[[bytes], bool], Callable[[File, bytes], int | None]], ...] = (
    (lambda head: head[4:8] in ISO_BOXES, _of_boxes),
    (lambda head: head.startswith(_RIFFS), _Chunks(12, 4, 4, "little", step=2).end),
    (lambda head: head.startswith(b"FORM"), _Chunks(12, 4, 4, "big", step=2).end),
    (lambda head: head.startswith(b"caff"), _Chunks(8, 4, 8, "big").end),
    (lambda head: head.startswith(b"riff\x2e\x91"), _Chunks(40, 16, 8, "little", step=8, whole=True).end),
    (lambda head: head.startswith(b".snd"), _of_au),
    (lambda head: head.startswith(EBML_HEADER), _of_segment),
)
