"""What a profile may and may not do in its bucket, found by doing it under its prefix, and written as a
report.

Works with least-privilege keys: no HeadBucket, no ListBuckets, and a refusal is a line of the report, not its
end.
"""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import NamedTuple

from ..config.profiles_file import permission_warning
from ..errors import AlreadyExists, IntegrityError, StorageError, TransferCancelled
from ..profile import Profile, credentials
from ..system.meter import Meter
from .base import ObjectInfo, Storage

PROBE_HEAD = "comfyui-cloud-storage-probe-"  # of its key; the rest is each test's own
PROBE = b"Written by Test Cloud Connection of comfyui-cloud-storage. It may be deleted at any time.\n"
CLOCK_RESOLUTION_SECONDS = 2  # a Date header has whole seconds, and travels
CLOCK_LIMIT_SECONDS = 60  # providers refuse at 15 minutes; a minute off is worth a word


WARNING, ERROR = "warning", "error"  # as comfyui/node_lines.py has them


class ReportLine(NamedTuple):
    """One line of the report; ``level`` is WARNING, ERROR or ""."""

    text: str
    level: str = ""


@dataclass(frozen=True)
class Finding:
    """One thing that was tried: whether it worked, and in words."""

    what: str
    works: bool
    words: str


def report(profile: Profile, storage: Storage, meter: Meter, *, looks_only: bool = False) -> str:
    """The ``lines`` as one text."""
    return "\n".join(line.text for line in lines(profile, storage, meter, looks_only=looks_only))


def lines(profile: Profile, storage: Storage, meter: Meter, *, looks_only: bool = False) -> list[ReportLine]:
    """Try everything and describe it: first what came of it, then each thing that was tried, then settings.
    Raises TransferCancelled only. Holds no secret.

    With ``looks_only`` nothing is written or deleted: it lists, and reads a byte of what it finds.
    """
    left = storage.unfinished()
    findings = _looks(storage, meter) if looks_only else _findings(profile, storage, meter)
    width = max(len(finding.what) for finding in findings)
    tried = [
        ReportLine(f"{'✓' if f.works else '✗'} {f.what.ljust(width)}  {f.words}", "" if f.works else ERROR)
        for f in findings
    ]
    settings = [
        f"Provider     {profile.provider}",
        f"Endpoint     {storage.endpoint} (from {profile.sources['endpoint_url']})",
        f"Region       {profile.region or '-'}",
        f"Bucket       {profile.bucket} (from {profile.sources['bucket']})",
        f"Prefix       {storage.path_prefix or '-'}",
        f"Credentials  {credentials(profile).source}",
        f"Clock        {_clock(storage.clock_difference)}",
    ]
    warnings = []
    if left:
        warnings.append(f"Warning      {_unfinished(left, storage.unfinished())}")
    if warning := permission_warning(profile.file):
        warnings.append(f"Warning      {warning}")
    return [
        _result(profile, findings),
        *tried,
        *(ReportLine(warning, WARNING) for warning in warnings),
        *map(ReportLine, settings),
    ]


def _result(profile: Profile, findings: list[Finding]) -> ReportLine:
    if not any(finding.works for finding in findings if finding.what != "share"):  # signing asks no server
        return ReportLine(f"Profile {profile.name}: does NOT work", ERROR)
    failed = [finding.what for finding in findings if not finding.works]
    if failed:
        return ReportLine(f"Profile {profile.name}: works, but not {', '.join(failed)}", WARNING)
    return ReportLine(f"Profile {profile.name}: works")


def _unfinished(before: int, now: int) -> str:
    """What a process that was killed had left when the test began; the test's own upload removes it."""
    if before == 1:
        if now:
            return "1 unfinished upload of a process that was killed: the next upload removes it"
        return "1 unfinished upload of a process that was killed is removed"
    if now:
        return f"{before} unfinished uploads of a process that was killed: the next upload removes them"
    return f"{before} unfinished uploads of a process that was killed are removed"


def _attempt(meter: Meter, what: str, action: Callable[[], str]) -> Finding:
    meter.check()
    began = time.perf_counter()
    try:
        words = action()
    except TransferCancelled:
        raise
    except StorageError as error:
        return Finding(what, False, str(error))
    return Finding(what, True, f"{words}, {(time.perf_counter() - began) * 1000:.0f} ms")


def _looks(storage: Storage, meter: Meter) -> list[Finding]:
    found: list[ObjectInfo] = []

    def listed() -> str:
        found.extend(storage.list("", limit=1))
        return "allowed" if found else "allowed, nothing there yet"

    def read() -> str:
        storage.read(found[0].key, 0, 1, meter=meter)
        return "allowed"

    findings = [_attempt(meter, "list", listed)]
    if found:
        findings.append(_attempt(meter, "read", read))
    return findings


def _findings(profile: Profile, storage: Storage, meter: Meter) -> list[Finding]:
    def attempt(what: str, action: Callable[[], str]) -> Finding:
        return _attempt(meter, what, action)

    probe = f"{PROBE_HEAD}{uuid.uuid4().hex}.txt"
    options = replace(storage.defaults, content_type="text/plain")

    def listed() -> str:
        found = sum(1 for _ in storage.list("", limit=1))
        return "allowed" if found else "allowed, nothing there yet"

    def written() -> str:
        storage.put(probe, PROBE, options, meter)
        return "allowed"

    def read() -> str:
        if storage.read(probe, meter=meter) != PROBE:
            raise IntegrityError(
                "The probe came back different. Look at what stands between here and the server."
            )
        return "allowed"

    def kept() -> str:
        try:
            storage.put(probe, PROBE, options, meter, create=True)
        except AlreadyExists:
            return "no overwrite: the server refuses a name that is taken"
        raise IntegrityError("The server let an existing object be replaced. Use names with %uuid% on it.")

    def deleted() -> str:
        storage.delete(probe)
        return "allowed, the test object is removed"

    def signed() -> str:
        storage.signed_url(probe, timedelta(hours=1))
        return "possible"

    findings = [attempt("list", listed)]
    if profile.read_only:
        findings.append(Finding("write", False, "not tried: the profile is read-only"))
        return [*findings, attempt("share", signed)]
    try:
        findings.append(attempt("write", written))
        if findings[-1].works:
            findings += [attempt("read", read), attempt("create", kept), attempt("delete", deleted)]
    except TransferCancelled:
        with Meter().governs(), contextlib.suppress(StorageError):  # nothing of a cancelled test stays there
            storage.delete(probe)
        raise
    return [*findings, attempt("share", signed)]


def _clock(difference: timedelta | None) -> str:
    if difference is None:
        return "unknown, the server did not answer"
    seconds = round(difference.total_seconds())
    if abs(seconds) <= CLOCK_RESOLUTION_SECONDS:
        return "the same as the server's"
    words = f"the server's is {abs(seconds)} s {'ahead' if seconds > 0 else 'behind'}"
    return words if abs(seconds) < CLOCK_LIMIT_SECONDS else f"{words}: set this machine's clock (enable NTP)"
