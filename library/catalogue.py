"""The catalogue: which models the buckets have, by folder type and name, as loaders list them.

It is listed in a thread and kept on disk beside profiles.json, so that a prompt after a restart waits for
nobody. Asking it sends nothing and reads no file.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path, PurePosixPath

from ..comfyui import folders, model_folders
from ..config.settings import ON_DEMAND
from ..errors import StorageError
from ..storage.base import ObjectInfo
from ..storage.connect import connect
from ..storage.keys import existing_prefix
from ..system import utc_clock
from ..system.meter import Meter
from . import catalogue_file, members
from .catalogue_file import Listing
from .members import Member, Members

MOST_OBJECTS = 100_000  # of one bucket; what comes after them is not listed

log = logging.getLogger("cloud_storage")


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


class Index:
    """The models of some listings: all of them, and by type and name, of which the first listing's counts.

    A file may belong to several types, if their folders have the same name: models/unet is a folder of
    diffusion_models, and of the GGUF node package's unet_gguf.
    """

    def __init__(self, listings: Iterable[tuple[str, str, Iterable[ObjectInfo]]]) -> None:
        """Each listing has the name of its profile, the folder of its models in the bucket, and the objects
        below that.
        """
        types = model_folders.Types()
        self._models: list[Model] = []
        self._by_name: dict[str, dict[str, Model]] = {}
        self._by_stem: dict[str, dict[str, list[Model]]] = {}
        for profile, prefix, objects in listings:
            for info in objects:
                self._add(profile, prefix, info, types)
        self._models.sort(key=lambda model: (model.folder_type, model.name))

    def _add(self, profile: str, prefix: str, info: ObjectInfo, types: model_folders.Types) -> None:
        folder, _, name = info.key[len(prefix) :].partition("/")
        listing = types.listing(folder, name)
        if not listing:
            return
        native = name.replace("/", os.sep)
        known = info.sha256 or None
        model = Model(listing[0], native, info.key, info.size, info.etag, info.modified, known, profile)
        self._models.append(model)
        for folder_type in listing:
            self._by_name.setdefault(folder_type, {}).setdefault(name, model)

    def models(self) -> Sequence[Model]:
        """Return all models, by type and name; each object once."""
        return tuple(self._models)

    def names(self, folder_type: str) -> list[str]:
        """Return what a loader of this type can list, sorted."""
        found = self._by_name.get(folders.current_type(folder_type), {})
        return sorted(name.replace("/", os.sep) for name in found)

    def find(self, folder_type: str, name: str) -> Model | None:
        """Return the model that a loader of this type calls ``name``, with either separator."""
        of_type = self._by_name.get(folder_type)
        if of_type is None:
            of_type = self._by_name.get(folders.current_type(folder_type), {})
        found = of_type.get(name)
        return found if found or "\\" not in name else of_type.get(name.replace("\\", "/"))

    def stems(self, folder_type: str) -> Mapping[str, list[Model]]:
        """Return the models of a type by their file name without folders and extension, computed when asked
        for.
        """
        if folder_type not in self._by_stem:
            found: dict[str, list[Model]] = {}
            for name, model in self._by_name.get(folder_type, {}).items():
                found.setdefault(PurePosixPath(name).stem, []).append(model)
            self._by_stem[folder_type] = found
        return self._by_stem[folder_type]


class Catalogue:
    """The models of all members of the library. Any thread may call any method."""

    def __init__(self, profiles_file: Path, file: Path) -> None:
        """Read the settings, and the listings that are on disk in ``file``. Sends nothing."""
        self._profiles_file, self._file = profiles_file, file
        self._settings = _time_of(profiles_file)
        self._members = members.read(profiles_file)
        self._listings: Mapping[str, Listing] = catalogue_file.read(file)
        self._index = _indexed(self._known())
        self._error = " ".join(self._members.errors)
        self._writing = (
            threading.Lock()
        )  # held by who replaces the four above; who reads them waits for nobody
        self._changed = threading.Condition()  # of the three below
        self._is_listing = self._again = False
        self._uploaded: list[tuple[str, str]] = []

    # ------------------------------------------------------------ asking

    @property
    def members(self) -> Members:
        """Return the members as they were read last."""
        return self._members

    def state(self) -> State:
        """Return what is known, without a request."""
        known = [listing for _, listing in self._known()]
        complete = len(known) == len(self._members.members) and not self._error
        listed = max((one.listed for one in known), default=None)
        return State(self._members.mode, listed, self._is_listing, self._error, complete)

    def models(self) -> Sequence[Model]:
        """Return all models, by type and name; each object once."""
        return self._index.models()

    def names(self, folder_type: str) -> list[str]:
        """Return what a loader of this type can list, sorted."""
        return self._index.names(folder_type)

    def find(self, folder_type: str, name: str) -> Model | None:
        """Return the model that a loader of this type calls ``name``, with either separator."""
        return self._index.find(folder_type, name)

    def stems(self, folder_type: str) -> Mapping[str, list[Model]]:
        """Return the models of a type by their file name without folders and extension."""
        return self._index.stems(folder_type)

    def is_on_demand(self, model: Model) -> bool:
        """Return whether a prompt may fetch the model; one that can run code, if the settings say so."""
        member = self._members.named(model.profile)
        if member is None or member.models.mode != ON_DEMAND:
            return False
        return member.models.pickles or not model_folders.can_run_code(model.name)

    def is_first_listing(self) -> bool:
        """Return whether the buckets are being listed, and at least one of them for the first time."""
        return self._is_listing and len(list(self._known())) < len(self._members.members)

    def settings_changed(self) -> bool:
        """Return whether profiles.json was written since it was read last; the next listing reads it."""
        return _time_of(self._profiles_file) != self._settings

    # ------------------------------------------------------------ listing

    def refresh(self) -> None:
        """List the buckets in a thread, once more if one does so already. Returns at once."""
        with self._changed:
            if self._is_listing:
                self._again = True
                return
            self._is_listing = True
        threading.Thread(target=self._work, name="cloud-storage-catalogue", daemon=True).start()

    def wait(self, meter: Meter) -> None:
        """Wait until no listing runs. Raises TransferCancelled when ``meter`` is stopped meanwhile."""
        with self._changed, meter.wakes(self._changed):
            while self._is_listing:
                meter.check()
                self._changed.wait()

    def uploaded(self, profile: str, key: str) -> None:
        """List again, because an object was stored; ask for its sha256, which no listing has."""
        with self._changed:
            self._uploaded.append((profile, key))
        self.refresh()

    def note_sha256(self, model: Model, etag: str, sha256: str) -> None:
        """Keep the sha256 of a version of an object, which somebody has asked for or computed."""
        if sha256 and etag == model.etag and sha256 != model.sha256:
            self._note({(model.profile, model.key): (etag, sha256)})

    def _note(self, known: Mapping[tuple[str, str], tuple[str, str]]) -> None:
        with self._writing:
            noted: dict[str, Listing] = {}
            for member, listing in self._known():
                objects = [
                    replace(info, sha256=sha256) if etag and etag == info.etag else info
                    for info in listing.objects
                    for etag, sha256 in [known.get((member.name, info.key), ("", ""))]
                ]
                noted[member.place] = replace(listing, objects=tuple(objects))
            self._replace(self._members, noted)

    def _replace(self, found: Members, fresh: Mapping[str, Listing]) -> None:
        """Use these members and listings, and those of before where a member has no fresh one."""
        kept = {one.place: self._listings[one.place] for one in found.members if one.place in self._listings}
        listings = {**kept, **fresh}
        index = _indexed(_paired(found, listings))
        self._members, self._listings, self._index = found, listings, index
        catalogue_file.write(self._file, listings)

    def _known(self) -> list[tuple[Member, Listing]]:
        return _paired(self._members, self._listings)

    def _work(self) -> None:
        while True:
            try:
                self._list()
            except Exception as error:  # noqa: BLE001  the thread has no caller: the page shows it
                log.warning("The models in the bucket could not be listed: %s", error)
                self._error = f"The models in the bucket could not be listed: {error}"
            with self._changed:
                if not self._again:
                    self._is_listing = False
                    self._changed.notify_all()
                    return
                self._again = False

    def _list(self) -> None:
        self._settings = _time_of(self._profiles_file)
        found = members.read(self._profiles_file)
        errors = list(found.errors)
        fresh: dict[str, Listing] = {}
        for member in found.members:
            try:
                fresh[member.place] = self._listing(member)
                if len(fresh[member.place].objects) > MOST_OBJECTS:
                    errors.append(
                        f"Bucket {member.profile.bucket} has more than {MOST_OBJECTS} objects below "
                        f"{member.models.prefix!r}: only the first are listed. Set models_prefix to a folder "
                        "that has only models."
                    )
            except StorageError as error:
                errors.append(str(error))
        with self._writing:
            self._replace(found, fresh)
            self._error = " ".join(errors)
        self._ask_for_uploaded()

    def _listing(self, member: Member) -> Listing:
        """List one bucket: a request for each 1,000 objects. What is known of unchanged ones is kept."""
        storage = connect(member.profile)
        prefix = existing_prefix(member.models.prefix, storage.room_for_key)
        before = self._listings.get(member.place)
        known = {(one.key, one.etag): one.sha256 for one in before.objects if one.sha256} if before else {}
        objects = [
            replace(info, sha256=known.get((info.key, info.etag), ""))
            for info in storage.list(prefix, MOST_OBJECTS + 1)
            if not info.key.endswith("/")
        ]
        return Listing(utc_clock.now(), tuple(objects))

    def _ask_for_uploaded(self) -> None:
        with self._changed:
            uploaded, self._uploaded = self._uploaded, []
        known = {}
        for name, key in uploaded:
            member = self._members.named(name)
            if member is not None:
                try:
                    info = connect(member.profile).stat(key)
                except StorageError as error:
                    log.debug("The sha256 of an uploaded model is not known: %s", error)
                    continue
                known[name, key] = info.etag, info.sha256
        if known:
            self._note(known)


def _paired(found: Members, listings: Mapping[str, Listing]) -> list[tuple[Member, Listing]]:
    return [(one, listings[one.place]) for one in found.members if one.place in listings]


def _indexed(listings: Iterable[tuple[Member, Listing]]) -> Index:
    return Index((member.name, member.models.prefix, listing.objects) for member, listing in listings)


def _time_of(file: Path) -> int | None:
    try:
        return file.stat().st_mtime_ns
    except OSError:
        return None


def of_this_comfyui() -> Catalogue:
    """Return a new catalogue of ComfyUI's settings, with what is on disk beside profiles.json."""
    file = folders.profiles_file()
    return Catalogue(file, file.with_name(catalogue_file.FILE_NAME))
