"""Whether bytes are missing at the end of a recording, by what its own headers say of its length.

FFmpeg takes the end of a file that was cut off for the end of the film, and says nothing. A header's length
is a hint: writers that stream leave it wrong. So it counts only where it is that of the pictures or sound
themselves, and a file that does not tell it is taken for whole. Whether pictures or sound are missing with
the bytes, the caller has to look.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol


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
# Left by a writer to a pipe: 0x7FFFFFFF, SoX's 0x7FFFF024 (WAV) and some 0x7F000000 (AIFF), arecord's
# 0x80000024. Recorders split files at that length, too: one that is near it is taken at its word.
_PLACEHOLDERS = range(0x7EFF0000, 0x80001000)
_RIFFS = (b"RIFF", b"RF64", b"BW64")
_SAMPLES = (b"data", b"SSND")
MAX_CHUNKS = 200
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


def mp3_frame_bytes(head: bytes) -> int | None:
    """How long the frame of MPEG audio, layer 3, is that begins with these 4 bytes; None for anything else.

    By ISO/IEC 11172-3 and 13818-3, 2.4.2.3; a bit rate or sampling rate of the free kind is None as well.
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


@dataclass(frozen=True)
class _Chunks:
    """How a file is divided: ``start`` is where the first chunk lies. Each begins with its name and length,
    in bytes ``name`` and ``length`` long; the length counts both where ``whole``. They lie at multiples of
    ``step``.
    """

    start: int
    name: int
    length: int
    order: Literal["little", "big"]
    step: int = 1
    whole: bool = False

    def end(self, source: File, head: bytes) -> int | None:
        """Where the samples of a sound or the pictures of an AVI end, by their own chunk.

        The length of the whole file, which stands in front, is not looked at: many recorders get it wrong.
        An AVI of more than 1 GiB is several RIFFs, one behind the other (OpenDML AVI File Format Extensions,
        1996).
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
            # Some writers leave out the byte of padding.
            is_padded = self.step > 2 or not _at(source, position)[:4].isalnum()  # noqa: PLR2004
            position = following if is_padded else position
        return end


def _of_au(source: File, head: bytes) -> int | None:
    """Sun's and NeXT's files: the samples' offset and length stand in front."""
    offset, length = (int.from_bytes(head[place : place + 4], "big") for place in (4, 8))
    unknown = length in (0, 0xFFFFFFFF) or _is_placeholder(length, source.seek(0, 2))
    return None if unknown else offset + length


def _is_placeholder(length: int, size: int) -> bool:
    """Whether a length is one that a writer to a pipe leaves: the file has not half of it."""
    return length in _PLACEHOLDERS and size < length // 2


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
    (lambda head: head.startswith(_RIFFS), _Chunks(12, 4, 4, "little", step=2).end),
    (lambda head: head.startswith(b"FORM"), _Chunks(12, 4, 4, "big", step=2).end),
    (lambda head: head.startswith(b"caff"), _Chunks(8, 4, 8, "big").end),
    (lambda head: head.startswith(b"riff\x2e\x91"), _Chunks(40, 16, 8, "little", step=8, whole=True).end),
    (lambda head: head.startswith(b".snd"), _of_au),
    (lambda head: head.startswith(b"\x1a\x45\xdf\xa3"), _of_segment),
)
