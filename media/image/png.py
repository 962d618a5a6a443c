"""Writes PNG files faster than Pillow: numpy filters the rows, ISA-L deflates them.

All rows of an image get the same filter and are deflated as one stream, with the `Recipe` that makes a sample
of the rows smallest. Without the optional package ``isal``, the standard library's zlib is used, which is
slower. Section numbers are those of https://www.w3.org/TR/png-3/.
"""

from __future__ import annotations

import functools
import io
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..file_kind import PNG_SIGNATURE
from ..image_tensor import Bytes

COLOUR_TYPES = {1: 0, 3: 2, 4: 6}  # channels -> greyscale, truecolour, truecolour with alpha (11.2.1)
MAX_SIDE = 2**31 - 1  # a four-byte integer whose top bit is zero (7.1)
MAX_KEYWORD_BYTES = 79  # 11.3.3.2

BAND_BYTES = 1 << 18  # size of the bands that are filtered and deflated at once; they fit into the cache
CHUNK_BYTES = 1 << 20  # smallest IDAT chunk, except for the last
SAMPLE_SLABS = 6  # groups of adjacent rows in a sample, spread evenly over the image
SAMPLE_BYTES = 1 << 20  # largest sample
DRAWN = 1 / 8  # an image is a drawing (flat areas, edges, text) if its sample shrinks below this part


# --- Filters: each byte minus a prediction from its neighbours (section 9) ---------------------------------


@dataclass(frozen=True)
class Neighbourhood:
    """The bytes of some rows, and in arrays of the same shape those to the left, above, and above left."""

    here: Bytes
    left: Bytes
    above: Bytes
    corner: Bytes


def _as_is(n: Neighbourhood, out: Bytes) -> None:
    np.copyto(out, n.here)


def _sub(n: Neighbourhood, out: Bytes) -> None:
    np.subtract(n.here, n.left, out=out)


def _up(n: Neighbourhood, out: Bytes) -> None:
    np.subtract(n.here, n.above, out=out)


def _average(n: Neighbourhood, out: Bytes) -> None:
    # floor((left + above) / 2) in eight bits: the bits that both have, plus half of those that only one has.
    np.subtract(n.here, (n.left & n.above) + ((n.left ^ n.above) >> 1), out=out)


def _paeth(n: Neighbourhood, out: Bytes) -> None:
    """Subtract the one of left, above and corner that is nearest to left + above - corner (9.4).

    Computed in eight bits, with left and above sorted into low and high. If the corner is not strictly
    between them, the one farther from the corner is nearest. If it is between them, the corner is nearest,
    unless one of them is at least twice as far from it as the other: then that one is nearest.
    """
    low, high = np.minimum(n.left, n.above), np.maximum(n.left, n.above)
    nearest = np.minimum(np.maximum(n.corner, low), high)
    from_low, to_high = nearest - low, high - nearest
    nearest -= from_low * (to_high <= from_low >> 1)
    nearest += to_high * (from_low <= to_high >> 1)
    np.subtract(n.here, nearest, out=out)


NONE, SUB, UP, AVERAGE, PAETH = range(5)
FILTERS: tuple[Callable[[Neighbourhood, Bytes], None], ...] = (_as_is, _sub, _up, _average, _paeth)


@dataclass(frozen=True)
class Slabs:
    """Groups of adjacent rows with their neighbours, ``padded`` [slabs, 1 + rows, one pixel + row].

    The first row of each slab is the row above it, the first pixel of each row the pixel to its left. They
    are zeros at the edges of the image (9.2).
    """

    padded: Bytes
    pixel_bytes: int

    def filtered(self, filter_type: int) -> Bytes:
        """Return the filtered rows [slabs, rows, 1 + row]; the first byte of each is its filter type."""
        here, above, one = self.padded[:, 1:], self.padded[:, :-1], self.pixel_bytes
        slabs, rows, padded_bytes = here.shape
        out = np.empty((slabs, rows, 1 + padded_bytes - one), np.uint8)
        out[..., 0] = filter_type
        neighbourhood = Neighbourhood(here[..., one:], here[..., :-one], above[..., one:], above[..., :-one])
        FILTERS[filter_type](neighbourhood, out[..., 1:])
        return out


class Rows:
    """Returns the rows of an image in slabs."""

    def __init__(self, pixels: Bytes) -> None:
        self._rows: Bytes = np.ascontiguousarray(pixels).reshape(len(pixels), -1)
        self._height, self._row_bytes = self._rows.shape
        self._pixel_bytes = pixels.shape[2]

    def slabs(self, starts: Sequence[int], count: int) -> Slabs:
        """Return slabs of ``count`` rows, one from each of ``starts`` on."""
        one = self._pixel_bytes
        padded = np.empty((len(starts), 1 + count, one + self._row_bytes), np.uint8)
        padded[..., :one] = 0
        for slab, start in zip(padded, starts, strict=True):
            slab[0, one:] = self._rows[start - 1] if start else 0
            slab[1:, one:] = self._rows[start : start + count]
        return Slabs(padded, one)

    def bands(self) -> Iterator[Slabs]:
        """Yield the whole image from top to bottom, in slabs of about BAND_BYTES."""
        count = max(1, BAND_BYTES // self._row_bytes)
        for start in range(0, self._height, count):
            yield self.slabs([start], min(count, self._height - start))

    def sample(self, slab_rows: int) -> Slabs:
        """Return SAMPLE_SLABS slabs of ``slab_rows``, spread evenly, or the whole image if it is small."""
        slab_rows = max(1, min(slab_rows, SAMPLE_BYTES // (SAMPLE_SLABS * self._row_bytes)))
        if self._height <= SAMPLE_SLABS * slab_rows:
            return self.slabs([0], self._height)
        step = self._height / SAMPLE_SLABS
        starts = [int((slab + 0.5) * step - slab_rows / 2) for slab in range(SAMPLE_SLABS)]
        return self.slabs(starts, slab_rows)


# --- Deflate: two libraries, and their settings for drawings and photographs -------------------------------


@dataclass(frozen=True)
class Recipe:
    """A filter for the rows, and the arguments of ``compressobj`` for them."""

    filter_type: int
    settings: tuple[int, ...]


@dataclass(frozen=True)
class Engine:
    """A library that deflates, and the recipes to try with it for drawings and for photographs.

    ``slab_rows`` is the number of rows in each slab of the sample. A larger sample costs more time.
    """

    compressobj: Callable[..., Any]
    crc32: Callable[..., int]
    slab_rows: int
    drawings: tuple[Recipe, ...]
    photographs: tuple[Recipe, ...]

    def deflated(self, parts: Iterable[Slabs], recipe: Recipe) -> Iterator[bytes]:
        """Yield one zlib stream with the rows of all parts, in pieces."""
        compressor = self.compressobj(*recipe.settings)
        for part in parts:
            yield compressor.compress(part.filtered(recipe.filter_type))
        yield compressor.flush()

    def recipe(self, sample: Slabs) -> Recipe:
        """Return the recipe that makes a sample smallest. The first one for drawings decides if it is one."""

        @functools.cache
        def size(recipe: Recipe) -> int:
            return sum(map(len, self.deflated([sample], recipe)))

        is_drawn = size(self.drawings[0]) < DRAWN * sample.padded.size
        return min(self.drawings if is_drawn else self.photographs, key=size)


# ISA-L at level 1: level 2 is not smaller, level 3 takes ten times as long for flat images. It uses the first
# repetition that it finds, however far away, and a far one costs more bits than the few bytes that it
# replaces; in flat images it even uses the row above, at a distance of some 12 bits, instead of the previous
# byte. A window of 512 bytes (9 bits) excludes far repetitions: noisy photographs become 10 % smaller, flat
# images shrink to a third. Only text, whose letters repeat from line to line, needs the full 32 KiB (15
# bits).
_NEAR = (1, zlib.DEFLATED, 9)
_FAR = (1, zlib.DEFLATED, 15)

# zlib spends its time searching for repetitions. So photographs get no search, drawings only runs of one byte
# or the fast search. A memLevel below 9 makes the hash table smaller, which zlib moves every 32 KiB.
_ENTROPY = (1, zlib.DEFLATED, 15, 8, zlib.Z_HUFFMAN_ONLY)
_RUNS = (1, zlib.DEFLATED, 15, 4, zlib.Z_RLE)
_MATCHES = (2, zlib.DEFLATED, 15, 7, zlib.Z_DEFAULT_STRATEGY)

ZLIB = Engine(
    compressobj=zlib.compressobj,
    crc32=zlib.crc32,
    slab_rows=3,
    drawings=(Recipe(UP, _MATCHES), Recipe(NONE, _MATCHES), Recipe(UP, _RUNS), Recipe(PAETH, _RUNS)),
    photographs=tuple(Recipe(filter_type, _ENTROPY) for filter_type in (SUB, UP, AVERAGE, PAETH)),
)


@functools.cache
def engine() -> Engine:
    """Return ISA-L if the package ``isal`` is installed, otherwise the standard library's zlib."""
    try:
        from isal import isal_zlib
    except ImportError:
        return ZLIB
    return Engine(
        compressobj=isal_zlib.compressobj,
        crc32=isal_zlib.crc32,
        slab_rows=6,
        drawings=(Recipe(UP, _NEAR), Recipe(PAETH, _NEAR), Recipe(UP, _FAR), Recipe(NONE, _FAR)),
        photographs=tuple(Recipe(filter_type, _NEAR) for filter_type in (SUB, UP, AVERAGE, PAETH)),
    )


def _clear_vector_registers() -> None:
    """Clear the AVX registers that ISA-L leaves in use on this thread, because they slow down SSE code.

    Until an instruction VZEROUPPER clears their upper halves, SSE code runs at half its speed: Pillow writes
    a flat PNG in 24 ms instead of 11. Compilers end AVX functions with it, such as numpy's subtraction.
    """
    np.subtract(_VECTORS, _VECTORS)


_VECTORS = np.zeros(256, np.uint8)  # several registers: numpy uses no AVX for less than one


# --- The file: a signature and chunks (section 5) ----------------------------------------------------------


def encode(pixels: Bytes, text: Iterable[tuple[str, str]] = (), using: Engine | None = None) -> bytes:
    """Return a PNG file of ``pixels``, uint8 [height, width, channels] with 1 (grey), 3 (RGB) or 4 (RGBA).

    ``text`` has keywords (Latin-1, 1 to 79 bytes) and values, written as tEXt, or as iTXt for a value that is
    not Latin-1. Needs about as much memory as the file is long, besides the pixels. Any thread may call it;
    most of the time it does not hold Python's global lock.
    """
    height, width, channels = pixels.shape
    using = using or engine()
    file = io.BytesIO()

    def write_chunk(kind: bytes, *pieces: bytes) -> None:
        checksum = using.crc32(kind)
        file.write(struct.pack(">I4s", sum(map(len, pieces)), kind))
        for piece in pieces:
            file.write(piece)
            checksum = using.crc32(piece, checksum)
        file.write(struct.pack(">I", checksum))

    file.write(PNG_SIGNATURE)
    write_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, COLOUR_TYPES[channels], 0, 0, 0))
    for keyword, value in text:
        write_chunk(*_text_chunk(keyword, value))
    rows = Rows(pixels)
    recipe = using.recipe(rows.sample(using.slab_rows))
    for pieces in _gathered(using.deflated(rows.bands(), recipe)):
        write_chunk(b"IDAT", *pieces)
    write_chunk(b"IEND")
    _clear_vector_registers()
    return file.getvalue()


def _text_chunk(keyword: str, value: str) -> tuple[bytes, bytes]:
    key = keyword.encode("latin-1")
    try:
        return b"tEXt", key + b"\0" + value.encode("latin-1")
    except UnicodeEncodeError:
        return b"iTXt", key + b"\0\0\0\0\0" + value.encode()  # not compressed, no language, not translated


def _gathered(pieces: Iterator[bytes]) -> Iterator[list[bytes]]:
    """Yield ``pieces`` in lists of at least CHUNK_BYTES, except for the last."""
    gathered: list[bytes] = []
    size = 0
    for piece in pieces:
        gathered.append(piece)
        size += len(piece)
        if size >= CHUNK_BYTES:
            yield gathered
            gathered, size = [], 0
    if size:
        yield gathered
