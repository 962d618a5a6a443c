"""The one mirror of this process: its thread, and what the page asks of it."""

from __future__ import annotations

import contextlib
import itertools
import logging
import sqlite3
import threading
import time
from typing import Any

from ..comfyui import folders, server
from ..comfyui.amounts import several
from ..errors import TransferCancelled
from ..profile import Profile
from ..storage.base import ObjectInfo
from ..system.file_fingerprint import Fingerprint
from ..system.meter import Meter
from . import journal as journals
from . import members, saved_workflows
from .journal import Journal
from .members import Members
from .profile_mirror import OnStored, ProfileMirror
from .profile_state import profile_state

LOOK_SECONDS, LOOK_MAX_SECONDS = 1.0, 2.0  # from one look to the next
LOOK_SHARE = 200  # a look that takes 7 ms is followed by a pause of 1.4 s

log = logging.getLogger("cloud_storage")


class Mirror:
    """All profiles that mirror. ``look`` and ``close`` belong to one thread, the rest may be called from any.

    ``only`` limits it to one profile by its name; ``everything`` sends what was there before the mirror was
    switched on; ``on_stored`` is called with each file that is stored, by the thread that has sent it.
    """

    def __init__(
        self,
        only: str = "",
        everything: bool = False,
        on_stored: OnStored = lambda mirror, folder, row: None,
    ) -> None:
        self._only, self._everything, self._on_stored = only, everything, on_stored
        self._journal: Journal | None = None
        self._settings: Fingerprint | str | None = "unread"
        self._off_at = time.time()  # when these settings were not known yet
        self._has_reported = False
        self.members = Members({})
        self.profiles: list[ProfileMirror] = []
        self.error = ""

    def look(self) -> None:
        """Read the settings if they have changed, look at all folders once, and send what is complete.

        Raises nothing: what fails is in ``state``, and repeated.
        """
        try:
            self._read_settings()
        except (OSError, sqlite3.Error) as error:
            if not self.error:
                log.warning("The mirror cannot open its journal: %s", error)
            self.error = f"Could not open the mirror's journal: {error}. Check the disk of the user folder."
            self._settings = "unread"
            return
        self.error = ""
        for profile in self.profiles:
            profile.look(self.profiles)
        if self.profiles and not self._has_reported:
            self._has_reported = True
            waiting = sum(profile.counts()[0] for profile in self.profiles)
            log.info("The mirror has started: %s.", several(waiting, "{} file waits", "{} files wait"))

    def _read_settings(self) -> None:
        file, now = folders.profiles_file(), time.time()
        found: Fingerprint | None = None
        with contextlib.suppress(OSError):
            found = Fingerprint.of(file)
        if found == self._settings:
            self._off_at = now
            return
        self._settings = found
        self.members = members.read(file)
        wanted: dict[str, Profile] = {
            name: profile for name, profile in self.members.profiles.items() if self._only in ("", name)
        }
        kept = [one for one in self.profiles if wanted.get(one.profile.name) == one.profile]
        for one in self.profiles:
            if one not in kept:
                one.close()
        known = {one.profile.name for one in kept}
        self.profiles = kept
        for name, profile in wanted.items():
            if name not in known:
                self.profiles = [*self.profiles, self._of(profile)]

    def _of(self, profile: Profile) -> ProfileMirror:
        if self._journal is None:
            self._journal = Journal(folders.system_folder() / journals.FILE_NAME)
        return ProfileMirror(profile, self._journal, self._off_at, self._everything, self._on_stored)

    def close(self) -> None:
        """Stop sending, and release the locks of the folders."""
        for profile in self.profiles:
            profile.close()

    def run(self, meter: Meter) -> None:
        """Look again and again until ``meter`` is stopped."""
        try:
            while True:
                began = time.thread_time()
                try:
                    self.look()
                except Exception:  # a fault of this program: nothing is lost but this look
                    log.exception("The mirror could not look at its folders")
                cost = time.thread_time() - began
                meter.wait(min(max(LOOK_SECONDS, LOOK_SHARE * cost), LOOK_MAX_SECONDS))
        except TransferCancelled:
            pass
        finally:
            self.close()

    def retry(self) -> None:
        """Try at once what failed."""
        for profile in self.profiles:
            profile.retry()

    def saved(self, profile: Profile, info: ObjectInfo, sha256: str) -> None:
        """Note a workflow that the page has saved to the bucket: the mirror renews it like its own."""
        if self._journal is None:
            return
        try:
            saved_workflows.note(self._journal, profile, info, sha256)
        except sqlite3.Error as error:  # the next version that ComfyUI saves gets a name of its own
            log.warning("The mirror's journal has no note of the workflow %s: %s", info.key, error)

    def is_copy(self, profile: Profile, info: ObjectInfo) -> bool:
        """Return if an object is what the mirror has made of a workflow that is on this machine."""
        place = members.place(profile)
        folders_there = [each.folders for each in self.profiles if members.place(each.profile) == place]
        for folder in itertools.chain(*folders_there):
            begin = folder.names.key("")
            if folder.names.folder == members.WORKFLOWS and info.key.startswith(begin):
                with contextlib.suppress(sqlite3.Error):
                    row = folder.row(info.key[len(begin) :])
                    if row is not None and row.own and not row.gone:
                        return (row.etag, row.sha256) == (info.etag, info.sha256)
        return False

    def state(self) -> dict[str, Any]:
        """Return what the page shows. Asks no bucket and reads no folder."""
        profiles = [profile_state(profile) for profile in self.profiles]
        return {
            "on": self.members.is_on,
            "waiting": sum(one["waiting"] for one in profiles),
            "waiting_bytes": sum(one["waiting_bytes"] for one in profiles),
            "failing": bool(self.error) or any(one["failing"] for one in profiles),
            "errors": [*self.members.errors, *([self.error] if self.error else [])],
            "profiles": profiles,
        }


_mirror = Mirror()


def mirror() -> Mirror:
    """Return the mirror of this process."""
    return _mirror


def start() -> None:
    """Begin with ComfyUI's server, in a thread of its own. It waits for the settings to ask for a mirror."""
    server.when_started(
        lambda: threading.Thread(
            target=_mirror.run, args=(Meter(),), name="cloud-storage-mirror", daemon=True
        ).start()
    )
