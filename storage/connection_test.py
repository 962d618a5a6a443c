"""Test what a profile may do in its bucket, by doing it below the profile's path_prefix, and write a report.

Works with least-privilege keys: no HeadBucket, no ListBuckets, and a refused request is a line of the report.
"""

from __future__ import annotations

import contextlib
import functools
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import NamedTuple

from ..config.profiles_file import permission_warning
from ..errors import AlreadyExists, IntegrityError, StorageError, TransferCancelled
from ..profile import Profile, credentials
from ..system.meter import Meter
from .base import PROXY_ADVICE, ObjectInfo, Storage

TEST_KEY_START = "comfyui-cloud-storage-probe-"  # of the test object's key
TEST_CONTENT = b"Written by Test Cloud Connection of comfyui-cloud-storage. It may be deleted at any time.\n"
CLOCK_RESOLUTION_SECONDS = 2  # a Date header has whole seconds, and takes time to arrive
CLOCK_LIMIT_SECONDS = 60  # providers refuse requests at 15 minutes; the report warns earlier

WARNING, ERROR = "warning", "error"  # as in comfyui/node_lines.py


class ReportLine(NamedTuple):
    """One line of the report; ``level`` is WARNING, ERROR or ""."""

    text: str
    level: str = ""


@dataclass(frozen=True)
class Finding:
    """One thing that was tested: its name, if it works, and the result as text."""

    what: str
    works: bool
    text: str


def lines(profile: Profile, storage: Storage, meter: Meter, *, may_write: bool = True) -> list[ReportLine]:
    """Test everything and return the report: the result, each test, warnings, then settings. No secrets.

    Unless ``may_write``, it only lists, and reads a byte of an object. Raises TransferCancelled only.
    """
    left = storage.unfinished()
    findings = findings_of(profile, storage, meter) if may_write else _test_reading(storage, meter)
    warnings = [_unfinished(left, storage.unfinished()), permission_warning(profile.file)]
    settings = [
        f"Provider     {profile.provider}",
        f"Endpoint     {storage.endpoint} (from {profile.sources['endpoint_url']})",
        f"Region       {profile.region or '-'}",
        f"Bucket       {profile.bucket} (from {profile.sources['bucket']})",
        f"Prefix       {storage.path_prefix or '-'}",
        f"Credentials  {credentials(profile).source}",
        f"Clock        {_clock(storage.clock_difference)}",
    ]
    return [
        _result(profile, findings),
        *lines_of(findings),
        *(ReportLine(f"Warning      {warning}", WARNING) for warning in warnings if warning),
        *map(ReportLine, settings),
    ]


def lines_of(findings: Sequence[Finding]) -> list[ReportLine]:
    """Return a line of the report for each finding."""
    width = max(len(finding.what) for finding in findings)
    return [
        ReportLine(f"{'✓' if f.works else '✗'} {f.what.ljust(width)}  {f.text}", "" if f.works else ERROR)
        for f in findings
    ]


def is_enough(findings: Sequence[Finding]) -> bool:
    """Whether the bucket is of use: it lists, it stores, and anything that needs a request works."""
    return any(f.works for f in findings if f.what != "share") and all(  # sharing sends no request
        f.works for f in findings if f.what in ("list", "write")
    )


def _result(profile: Profile, findings: list[Finding]) -> ReportLine:
    if not any(finding.works for finding in findings if finding.what != "share"):  # sharing sends no request
        return ReportLine(f"Profile {profile.name}: does NOT work", ERROR)
    failed = [finding.what for finding in findings if not finding.works]
    if failed:
        return ReportLine(f"Profile {profile.name}: works, but not {', '.join(failed)}", WARNING)
    return ReportLine(f"Profile {profile.name}: works")


def _unfinished(before: int, now: int) -> str:
    """Describe the uploads that killed processes had left ``before`` the test, which may remove them."""
    if before == 0:
        return ""
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
        text = action()
    except TransferCancelled:
        raise
    except StorageError as error:
        return Finding(what, False, str(error))
    return Finding(what, True, f"{text}, {(time.perf_counter() - began) * 1000:.0f} ms")


def _list_one(storage: Storage, found: list[ObjectInfo]) -> str:
    found.extend(storage.list("", limit=1))
    return "allowed" if found else "allowed, nothing there yet"


def _test_reading(storage: Storage, meter: Meter) -> list[Finding]:
    found: list[ObjectInfo] = []

    def read() -> str:
        storage.read(found[0].key, 0, 1, meter=meter)
        return "allowed"

    findings = [_attempt(meter, "list", lambda: _list_one(storage, found))]
    return [*findings, _attempt(meter, "read", read)] if found else findings


def findings_of(profile: Profile, storage: Storage, meter: Meter) -> list[Finding]:
    """Test everything with a test object, and remove it. Raises TransferCancelled only."""
    attempt = functools.partial(_attempt, meter)
    key = f"{TEST_KEY_START}{uuid.uuid4().hex}.txt"
    options = replace(storage.defaults, content_type="text/plain")

    def write() -> str:
        storage.put(key, TEST_CONTENT, options, meter)
        return "allowed"

    def read() -> str:
        if storage.read(key, meter=meter) != TEST_CONTENT:
            raise IntegrityError(f"The test object came back different. {PROXY_ADVICE}")
        return "allowed"

    def create() -> str:
        try:
            storage.put(key, TEST_CONTENT, options, meter, create=True)
        except AlreadyExists:
            return "no overwrite: the server refuses a name that is taken"
        raise IntegrityError("The server let an existing object be replaced. Use names with %uuid% on it.")

    def delete() -> str:
        storage.delete(key)
        return "allowed, the test object is removed"

    def share() -> str:
        storage.signed_url(key, timedelta(hours=1))
        return "possible"

    findings = [attempt("list", lambda: _list_one(storage, []))]
    if profile.read_only:
        findings.append(Finding("write", False, "not tried: the profile is read-only"))
        return [*findings, attempt("share", share)]
    try:
        findings.append(attempt("write", write))
        if findings[-1].works:
            findings += [attempt("read", read), attempt("create", create), attempt("delete", delete)]
    except TransferCancelled:
        with Meter().governs(), contextlib.suppress(StorageError):  # nothing is left after Cancel
            storage.delete(key)
        raise
    return [*findings, attempt("share", share)]


def _clock(difference: timedelta | None) -> str:
    if difference is None:
        return "unknown, the server did not answer"
    seconds = round(difference.total_seconds())
    if abs(seconds) <= CLOCK_RESOLUTION_SECONDS:
        return "the same as the server's"
    text = f"the server's is {abs(seconds)} s {'ahead' if seconds > 0 else 'behind'}"
    return text if abs(seconds) < CLOCK_LIMIT_SECONDS else f"{text}: set this machine's clock (enable NTP)"
