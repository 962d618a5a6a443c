"""Lets a mirror look by itself, as its thread does, until a test sees what it waits for."""

from __future__ import annotations

import time


def look_until(mirror, is_so, looks=4000):
    """Look until something is so. Fails with the mirror's state after so many looks."""
    for _ in range(looks):
        if is_so():
            return
        mirror.look()
        time.sleep(0.005)
    raise AssertionError(mirror.state())
