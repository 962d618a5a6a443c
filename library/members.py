"""The buckets of the library: that of the environment, and those of all named profiles with models other than
off, in this order.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..config import profiles_file, settings
from ..config.profiles_file import ENVIRONMENT
from ..config.settings import MODELS_MODES, OFF, ModelSettings
from ..errors import ConfigurationError
from ..profile import Profile, resolve

GIGABYTE = 10**9


@dataclass(frozen=True)
class Member:
    """A profile whose bucket belongs to the library; ``name`` is ENVIRONMENT or that of profiles.json."""

    name: str
    profile: Profile

    @property
    def models(self) -> ModelSettings:
        return self.profile.models

    def is_of(self, profile: Profile) -> bool:
        """Return whether a profile writes into this member's bucket, with the same keys."""
        own = self.profile
        return (own.endpoint_url, own.bucket, own.path_prefix.strip("/")) == (
            profile.endpoint_url,
            profile.bucket,
            profile.path_prefix.strip("/"),
        )

    def key_of(self, bucket: str, key: str) -> str | None:
        """Return the key of an object relative to the path_prefix; None if it is not one of this member's."""
        prefix = self.profile.path_prefix.strip("/")
        prefix = f"{prefix}/" if prefix else ""
        is_own = bucket == self.profile.bucket and key.startswith(prefix)
        return key[len(prefix) :] if is_own else None

    @property
    def place(self) -> str:
        """Return an identifier of what is listed, without a secret."""
        found = self.profile
        return "\n".join((found.endpoint_url, found.bucket, found.path_prefix, found.models.prefix))


@dataclass(frozen=True)
class Members:
    """The members in the order in which a name is looked for, and what is wrong with other profiles."""

    members: tuple[Member, ...] = ()
    errors: tuple[str, ...] = field(default=())

    @property
    def mode(self) -> str:
        """Return the strongest mode of all members."""
        return max((one.models.mode for one in self.members), key=MODELS_MODES.index, default=OFF)

    @property
    def budget(self) -> int | None:
        """Return the most bytes that copies may take, by the first member that limits them."""
        limits = (one.models.budget_gb for one in self.members)
        limit = next((one for one in limits if one is not None), None)
        return None if limit is None else int(limit * GIGABYTE)

    @property
    def keep_free(self) -> int:
        """Return how many bytes of the disk copies leave free: the most that a member asks for."""
        return int(max((one.models.keep_free_gb for one in self.members), default=0) * GIGABYTE)

    def named(self, name: str) -> Member | None:
        """Return the member of this name."""
        for one in self.members:  # for each name of a prompt: no generator
            if one.name == name:
                return one
        return None


def read(file: Path, environ: Mapping[str, str] | None = None) -> Members:
    """Read the members from the environment and profiles.json. Never raises; sends nothing.

    Two profiles of one bucket and folder are one member. An environment that says nothing of a bucket is no
    error.
    """
    found: dict[str, Member] = {}
    errors = []
    try:
        profiles_file.read(file)
    except ConfigurationError as error:
        errors.append(str(error))
    for name in settings.profile_names(file):
        try:
            profile = resolve(name, {}, file, environ)
        except ConfigurationError as error:
            if name != ENVIRONMENT or _names_a_bucket(environ):
                errors.append(str(error))
            continue
        if profile.models.mode != OFF:
            member = Member(name, profile)
            found.setdefault(member.place, member)
    return Members(tuple(found.values()), tuple(errors))


def _names_a_bucket(environ: Mapping[str, str] | None) -> bool:
    return bool((os.environ if environ is None else environ).get(settings.SETTINGS["bucket"].variable))
