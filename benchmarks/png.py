"""Our PNG encoder against Pillow at compress_level 4, which is what ComfyUI's Save Image uses.

All sides run in one process, in turns, on the same pixels. Times are medians, of the processor time of the
one thread that each side uses, so that other programs on the machine matter little. The third side is our
encoder as it is where the package ``isal`` is missing. Every file is read back with Pillow and compared,
pixel for pixel.

Run: python benchmarks/png.py [--rounds 11]
"""

from __future__ import annotations

import argparse
import io
import statistics
import sys
import time
from collections.abc import Callable, Sequence

import numpy as np
from package import load_package
from pictures import KINDS, MODES, Pixels, picture
from PIL import Image

load_package()
from cloud_storage.media.image import png

clock = time.perf_counter if sys.platform == "win32" else time.thread_time  # Windows' ticks every 16 ms


def pillow(pixels: Pixels) -> bytes:
    file = io.BytesIO()
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    image.save(file, "PNG", compress_level=4)
    return file.getvalue()


def ours(pixels: Pixels) -> bytes:
    return png.encode(pixels)


def without_isal(pixels: Pixels) -> bytes:
    return png.encode(pixels, using=png.ZLIB)


def in_turns(sides: Sequence[Callable[[Pixels], bytes]], pixels: Pixels, rounds: int) -> list[float]:
    """The median of each side's times, in milliseconds."""
    times: list[list[float]] = [[] for _ in sides]
    for _ in range(rounds):
        for side, taken in zip(sides, times, strict=True):
            start = clock()
            side(pixels)
            taken.append(1e3 * (clock() - start))
    return [statistics.median(taken) for taken in times]


def same(file: bytes, pixels: Pixels) -> bool:
    return np.array_equal(np.array(Image.open(io.BytesIO(file))).reshape(pixels.shape), pixels)


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--rounds", type=int, default=11)
    rounds = options.parse_args().rounds
    if png.engine() is png.ZLIB:
        print("The package isal is not installed: both of our sides use the standard library's zlib.")
    print(f"{'1024 x 1024':16}{'Pillow':>9}{'ours':>21}{'without isal':>30}")
    print(f"{'':16}{'ms':>9}" + f"{'ms':>9}{'faster':>9}{'size':>8}" * 2 + "  pixels")
    wrong = 0
    for kind in KINDS:
        for mode in MODES:
            pixels = picture(kind, mode)
            reference, *files = (side(pixels) for side in (pillow, ours, without_isal))
            base, *times = in_turns((pillow, ours, without_isal), pixels, rounds)
            line = f"{kind + ' ' + mode:16}{base:9.2f}"
            for taken, file in zip(times, files, strict=True):
                line += f"{taken:9.2f}{base / taken:8.1f}x{len(file) / len(reference):8.3f}"
            identical = all(same(file, pixels) for file in files)
            wrong += not identical
            print(line, " identical" if identical else " DIFFERENT")
    return wrong


if __name__ == "__main__":
    sys.exit(main())
