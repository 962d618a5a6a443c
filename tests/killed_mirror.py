"""Mirrors the output folder of a ComfyUI until nothing waits, or ends at once at a point, as by kill -9."""

from __future__ import annotations

import itertools
import os
import sys
import threading
import time

from conftest import load_package

KILLED = 9
POINTS = {  # at which call of which function, before or after it
    "before the first upload": ("put", "before", 1),
    "after the first upload": ("put", "after", 1),
    "after the last upload": ("put", "after", 4),
    "in an upload in parts": ("begin", "after", 4),
    "before an upload in parts is completed": ("finish", "before", 1),
    "after an upload in parts is completed": ("finish", "after", 1),
    "before the journal is written": ("write", "before", 2),
    "while the journal is written": ("COMMIT", "before", 4),
    "after the journal is written": ("write", "after", 2),
}


def owners():
    """Return where each function is."""
    from cloud_storage.mirror import journal
    from cloud_storage.storage import multipart
    from cloud_storage.storage.oss import storage

    return {
        "put": storage.OssStorage,
        "begin": multipart.Slice,
        "finish": storage._PartRequests,
        "write": journal.Journal,
    }


def arm(name: str, when: str, count: int) -> None:
    """End this process at call number ``count`` of a function, before or after it."""
    if name == "COMMIT":
        arm_commit(count)
        return
    owner = owners()[name]
    real, calls, lock = getattr(owner, name), itertools.count(1), threading.Lock()

    def call(*arguments, **options):
        with lock:
            is_last = next(calls) == count
        if is_last and when == "before":
            os._exit(KILLED)
        result = real(*arguments, **options)
        if is_last:
            os._exit(KILLED)
        return result

    setattr(owner, name, call)


def arm_commit(count: int) -> None:
    """End this process when the journal has written, and is about to say that it is whole."""
    from cloud_storage.mirror import journal

    opened, commits = journal._opened, itertools.count(1)

    def trace(statement: str) -> None:
        if statement == "COMMIT" and next(commits) == count:
            os._exit(KILLED)

    def traced(file):
        database = opened(file)
        database.set_trace_callback(trace)
        return database

    journal._opened = traced


def main(base: str, point: str = "") -> None:
    import folder_paths

    load_package()
    from cloud_storage.mirror import mirrored_folder, service

    folder_paths.base_path = base
    mirrored_folder.STILL_SECONDS = 0.0
    if point:
        arm(*POINTS[point])
    mirror = service.Mirror(everything=True)
    mirror.look()
    while mirror.state()["waiting"]:
        time.sleep(0.01)
        mirror.look()
    mirror.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
