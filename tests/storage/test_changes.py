"""Who keeps a list of keys is told what is stored and deleted."""

from __future__ import annotations

import pytest
from cloud_storage.errors import AlreadyExists
from cloud_storage.storage import changes
from cloud_storage.system.meter import Meter
from page_requests import put


@pytest.fixture
def told(monkeypatch):
    monkeypatch.setattr(changes, "_watchers", [])
    found = []

    def note(storage, key, info):
        found.append((storage.root, key, info and info.size))

    changes.watch(note)
    changes.watch(note)
    return found


def test_what_is_stored_and_deleted_is_told_once(direct, told):
    put(direct, "a.txt")
    direct.delete("a.txt")
    assert told == [(direct.root, "a.txt", 5), (direct.root, "a.txt", None)]


def test_what_failed_is_not_told(direct, told):
    put(direct, "a.txt")
    told.clear()
    with pytest.raises(AlreadyExists):
        direct.put("a.txt", b"x", direct.defaults, Meter(), create=True)
    assert told == []
