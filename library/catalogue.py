"""The catalogue: which models the bucket has, by folder type and name, as loaders list them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Model:
    """A model in the bucket.

    ``folder_type`` is ComfyUI's name of the folder, ``name`` the file as loaders of this machine list it,
    with its separator. ``key`` is relative to the path_prefix of the profile called ``profile``, ``size`` in
    bytes. ``sha256`` is None where nobody knows it: a listing does not have it.
    """

    folder_type: str
    name: str
    key: str
    size: int
    etag: str
    modified: datetime | None
    sha256: str | None
    profile: str


@dataclass(frozen=True)
class State:
    """What the catalogue knows of itself.

    ``mode`` is the strongest of all profiles: off, offer or on demand. ``listed`` is when the latest listing
    ended, None if there was none. ``error`` is a sentence for the user, "" if the latest listing went well.
    ``complete`` is False if a profile could not be listed.
    """

    mode: str
    listed: datetime | None = None
    is_listing: bool = False
    error: str = ""
    complete: bool = False


class Catalogue:
    """The models of all profiles of the library. Any thread may call any method."""

    def state(self) -> State:
        """Return what is known, without a request."""
        return State("offer")

    def models(self) -> Sequence[Model]:
        """Return all models, by type and name; each object once."""
        return ()

    def names(self, folder_type: str) -> list[str]:
        """Return what a loader of this type can list, sorted."""
        return []

    def find(self, folder_type: str, name: str) -> Model | None:
        """Return the model that a loader of this type calls ``name``, with either separator."""
        return None

    def refresh(self) -> None:
        """List the buckets in a thread, unless one does already; returns at once."""
