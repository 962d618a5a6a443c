"""What a node has stored or fetched, in a form for programs: the list ``cloud_files`` in its ``ui``.

ComfyUI hands it out in ``/history`` and in the websocket's ``executed``, beside the lines for people. What is
in it is described by docs/results.md and docs/results.schema.json. Names and meanings never change; a new
field may be added.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone

from ..config.profiles_file import ENVIRONMENT
from ..config.settings import choose_profile
from ..errors import ConfigurationError
from ..media.media_facts import MediaFacts
from ..profile import Profile
from ..storage.base import ObjectInfo, Storage
from .folders import profiles_file

CLOUD_FILES = "cloud_files"  # the key in a node's ``ui``

# What became of a file: sent to the bucket; not sent, because the object was there; kept in the outbox for a
# later upload; downloaded; used from this machine, because nothing had to be downloaded.
STORED, SKIPPED, WAITING, FETCHED, UNCHANGED = "stored", "skipped", "waiting", "fetched", "unchanged"
STATUSES = (STORED, SKIPPED, WAITING, FETCHED, UNCHANGED)


@dataclass(frozen=True)
class CloudFile:
    """One file. Empty fields are unknown and left out. ``key`` is relative to the profile's path_prefix, as
    nodes take it; ``size`` is in bytes. ``url`` is what the node's ``link`` asked for; if that is a presigned
    link, it works until ``signed_until``.
    """

    status: str
    bucket: str = ""
    key: str = ""
    url: str = ""
    signed_until: datetime | None = None
    size: int | None = None
    etag: str = ""
    sha256: str = ""
    content_type: str = ""
    facts: MediaFacts = field(default_factory=MediaFacts)
    profile: str = ""

    def for_programs(self) -> dict[str, str | int | float]:
        """The fields that are known, in JSON's types: a time as text in UTC, "2026-11-28T20:00:00Z"."""
        until = self.signed_until
        found: dict[str, object] = {
            "bucket": self.bucket,
            "key": self.key,
            "url": self.url,
            "signed_until": until and until.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "size": self.size,
            "etag": self.etag,
            "sha256": self.sha256,
            "content_type": self.content_type,
            **asdict(self.facts),
            "status": self.status,
            "profile": self.profile,
        }
        return {name: value for name, value in found.items() if _is_known(value)}  # type: ignore[misc]


def of_object(
    status: str,
    storage: Storage,
    info: ObjectInfo,
    profile: str,
    facts: MediaFacts = MediaFacts(),  # noqa: B008  it is frozen
) -> CloudFile:
    """The file of an object; ``profile`` is the name of the profile, as of ``profile_name``."""
    return CloudFile(
        status,
        storage.bucket,
        info.key,
        size=info.size,
        etag=info.etag,
        sha256=info.sha256,
        content_type=info.content_type,
        facts=facts,
        profile=profile,
    )


def profile_name(profile: Profile | None) -> str:
    """The name of the profile that a ``profile`` input means; None is the environment, or the default."""
    if profile is not None:
        return profile.name
    try:
        return choose_profile(ENVIRONMENT, profiles_file())
    except ConfigurationError:  # raised again when the profile is used
        return ENVIRONMENT


def for_programs(files: Iterable[CloudFile]) -> list[dict[str, str | int | float]]:
    """The value of ``cloud_files``."""
    return [file.for_programs() for file in files]


def _is_known(value: object) -> bool:
    """Whether a value says something. JSON has no infinite number, and UTF-8 no half character."""
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, str):
        return value != "" and not _HALF_CHARACTER.search(value)
    return value is not None


_HALF_CHARACTER = re.compile("[\ud800-\udfff]")
