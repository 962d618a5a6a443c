"""What the page has saved, and which versions are of one workflow; both ways of saving are in
``tests/page/test_mirrored_workflows.py``.
"""

from __future__ import annotations

import json

import pytest
from cloud_storage.mirror import saved_workflows
from cloud_storage.storage.base import ObjectInfo

ONE = "11111111-1111-4111-8111-111111111111"


class Bucket:
    def __init__(self, data):
        self.data = data

    def read(self, key, etag):
        assert (key, etag) == ("a.json", "etag")
        return self.data


def is_same(there, data, size=10):
    info = ObjectInfo("a.json", size, "etag")
    return saved_workflows.is_same(Bucket(there), info, data)


def of(identity, **more):
    return json.dumps({"id": identity, **more}).encode()


def test_versions_of_one_workflow_have_one_id():
    assert is_same(of(ONE, nodes=[]), of(ONE, nodes=[1]))
    assert not is_same(of(ONE), of(ONE.replace("1", "2")))
    assert not is_same(of(ONE), of(ONE), size=1 << 30)


@pytest.mark.parametrize(
    "data",
    [b"", b"{}", b"[]", b"\xff", b"[" * 100_000, of(""), of(7), of("00000000-0000-0000-0000-000000000000")],
)
def test_what_has_no_id_is_never_the_same(data):
    assert not is_same(data, data)
    assert not is_same(of(ONE), data)
    assert not is_same(data, of(ONE))


def test_the_latest_version_that_was_saved_is_noted_for_each_bucket(journal, monkeypatch):
    monkeypatch.setattr(saved_workflows, "place", lambda profile: f"{profile} saved")
    assert saved_workflows.noted(journal, "a saved", "k") is None
    for etag in ("first", "second"):
        saved_workflows.note(journal, "a", ObjectInfo("k", 1, etag), "sha")
    found = saved_workflows.noted(journal, "a saved", "k")
    assert (found.key, found.etag, found.sha256, found.own) == ("k", "second", "sha", True)
    assert saved_workflows.noted(journal, "a saved", "other") is None
    assert saved_workflows.noted(journal, "b saved", "k") is None
