"""A mirror of a ComfyUI's folders into a bucket of each backend, looked at by hand: no thread, no clock."""

from __future__ import annotations

import contextlib
import time

import mirror_looks
import pytest
from cloud_storage.mirror import mirrored_folder, profile_mirror, service
from cloud_storage.mirror.journal import FILE_NAME, Journal


class Mirrored:
    """``output`` is ComfyUI's folder; ``settled`` looks until nothing waits, or it fails."""

    def __init__(self, cloud, output):
        self.cloud, self.output = cloud, output
        self.mirrors = []
        self.mirror = self.started()

    def started(self, **options):
        self.mirror = service.Mirror(**options)
        self.mirrors.append(self.mirror)
        return self.mirror

    def restarted(self, **options):
        self.mirror.close()
        return self.started(**options)

    def write(self, name, data=b"made"):
        path = self.output / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    def look_until(self, is_so, looks=4000):
        mirror_looks.look_until(self.mirror, is_so, looks)

    def settled(self, looks=400):
        for one in self.mirror.profiles:
            for folder in one.folders:  # the time of a folder is too coarse for what a test does at once
                for each in folder._watch._folders.values():
                    each.modified_ns, each.not_before = -1, 0.0
        for _ in range(looks):
            self.mirror.look()
            folders = [folder for one in self.mirror.profiles for folder in one.folders]
            if all(self._is_settled(folder) for folder in folders):
                return
            if any(one.failure is not None for one in self.mirror.profiles):
                return
            time.sleep(0.01)
        raise AssertionError(self.mirror.state())

    @staticmethod
    def _is_settled(folder):
        """Whether nothing waits or is incomplete; False for a folder that was not looked at yet."""
        return not (folder.waiting() or folder.writing()) and bool(folder.has_looked or folder.note)

    def stored(self):
        return [info.key for info in self.cloud.list()]

    def rows(self):
        folder = self.mirror.profiles[0].folders[0]
        return folder.target.journal.rows(folder.target.number)

    def read(self, key):
        return self.cloud.read(f"comfyui/output/{key}")


@pytest.fixture
def mirrored(cloud, tmp_path, monkeypatch):
    """A mirror that is switched on for output, in which files are complete at the next look."""
    monkeypatch.setenv("COMFY_S3_MIRROR", "output")
    monkeypatch.setattr(mirrored_folder, "STILL_SECONDS", 0.0)
    monkeypatch.setattr(mirrored_folder, "LOCK_SECONDS", 0.0)
    monkeypatch.setattr(profile_mirror, "PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(profile_mirror, "PAUSE_MAX_SECONDS", 0.01)
    found = Mirrored(cloud, tmp_path / "output")
    yield found
    for mirror in found.mirrors:
        mirror.close()


@pytest.fixture
def switched_on(mirrored):
    """The same, after its first look at an empty folder."""
    mirrored.settled()
    return mirrored


@pytest.fixture
def journal(tmp_path):
    with contextlib.closing(Journal(tmp_path / FILE_NAME)) as opened:
        yield opened
