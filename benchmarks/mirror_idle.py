"""What the mirror costs while nothing happens, as the share of one core: 100,000 files in folders and in one.

Also how long a new file takes to be noticed and to be complete: sending is not part of this.

Usage: python benchmarks/mirror_idle.py [--files 100000] [--seconds 60]
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests" / "stand_in")]
from package import load_package

load_package()

import folder_paths
from cloud_storage.errors import TransferCancelled
from cloud_storage.mirror import service
from cloud_storage.system.meter import Meter

SETTLE_LOOKS = 5  # a folder that was made just now is read once more


class EndsAfter(Meter):
    """A meter that ends the mirror after some seconds."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._end = time.monotonic() + seconds

    def wait(self, seconds: float) -> None:
        if time.monotonic() > self._end:
            raise TransferCancelled("enough")
        super().wait(seconds)


def measured(files: int, folders: int, seconds: float) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        base = Path(temporary)
        output = base / "output"
        for number in range(folders):
            (output / f"folder-{number}").mkdir(parents=True)
        for number in range(files):
            (output / f"folder-{number % folders}" / f"ComfyUI_{number:06}_.png").touch()
        folder_paths.base_path = str(base)
        mirror = service.Mirror()
        began = time.process_time()
        mirror.look()
        first = time.process_time() - began
        for _ in range(SETTLE_LOOKS):
            time.sleep(service.LOOK_SECONDS)
            mirror.look()
        began, wall = time.process_time(), time.monotonic()
        mirror.run(EndsAfter(seconds))
        share = (time.process_time() - began) / (time.monotonic() - wall)
        print(
            f"{files} files in {folders} folders: first look {first:.1f} s of CPU, then {share:.2%} of a core"
        )

        mirror = service.Mirror()
        mirror.look()
        (output / "folder-0" / "new.png").write_bytes(b"new")
        wall, began = time.monotonic(), time.process_time()
        while not any(folder.waiting() for one in mirror.profiles for folder in one.folders):
            time.sleep(service.LOOK_SECONDS)
            mirror.look()
        used = time.process_time() - began
        print(f"  a new file is to be sent after {time.monotonic() - wall:.1f} s, for {used:.2f} s of CPU")
        mirror.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=60.0)
    options = parser.parse_args()
    os.environ.update(COMFY_S3_BUCKET="nowhere", COMFY_S3_MIRROR="output")
    os.environ["COMFY_S3_ENDPOINT_URL"] = "http://127.0.0.1:9"
    for folders in (1000, 10, 1):
        measured(options.files, folders, options.seconds)


if __name__ == "__main__":
    main()
