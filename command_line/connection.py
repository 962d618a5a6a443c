"""``test``: what an access key may do, as Test Cloud Connection reports it."""

from __future__ import annotations

from ..storage import connection_test
from ..storage.connection_test import ERROR, ReportLine
from ..system.meter import Meter
from . import running
from .context import Context


def test(context: Context, meter: Meter) -> int:
    """Write the report. The exit code is 1 if something that was tried does not work."""
    profile = context.profile
    lines = connection_test.lines(profile, context.storage(), meter)
    return show(context, lines)


def show(context: Context, lines: list[ReportLine]) -> int:
    """Write a report, and return the exit code."""
    for line in lines:
        context.console.answer(line.text)
        context.console.event("check", text=line.text, level=line.level)
    return running.FAILED if any(line.level == ERROR for line in lines) else running.DONE
