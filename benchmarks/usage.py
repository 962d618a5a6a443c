"""Measures what a piece of a benchmark takes: seconds, processor time, memory. Linux only."""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_STATUS, _CLEAR_REFS = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@dataclass
class Usage:
    """``memory`` is the peak in bytes above what the process had before; ``cpu`` of all its threads."""

    seconds: float = 0.0
    cpu: float = 0.0
    memory: int = 0


@contextlib.contextmanager
def measured() -> Iterator[Usage]:
    _CLEAR_REFS.write_text("5")  # sets the peak to what is in memory now: man 5 proc
    usage, before = Usage(), _kibibytes("VmRSS")
    cpu, began = time.process_time(), time.perf_counter()
    yield usage
    usage.seconds, usage.cpu = time.perf_counter() - began, time.process_time() - cpu
    usage.memory = max(0, _kibibytes("VmHWM") - before) << 10


def _kibibytes(name: str) -> int:
    lines = _STATUS.read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def line(name: str, used: Sequence[Usage]) -> str:
    """The medians of the rounds, with the fastest and the slowest."""
    seconds = [one.seconds for one in used]
    cpu = statistics.median(one.cpu for one in used)
    memory = max(one.memory for one in used) / (1 << 20)
    spread = f"{min(seconds):.2f} to {max(seconds):.2f}"
    return (
        f"  {name:28} {statistics.median(seconds):6.2f} s ({spread}), {cpu:6.2f} s of CPU, {memory:5.0f} MiB"
    )
