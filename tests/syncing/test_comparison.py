"""Whether a file and an object have the same content, and what is asked to find out."""

from __future__ import annotations

import hashlib

import pytest
from cloud_storage.storage.base import ObjectInfo
from cloud_storage.syncing.comparison import Comparison
from cloud_storage.system.file_fingerprint import Fingerprint
from cloud_storage.system.meter import Meter

DATA = b"content"
MD5 = hashlib.md5(DATA).hexdigest()
SHA256 = hashlib.sha256(DATA).hexdigest()


class Bucket:
    """Describes one object, and counts how often it is asked."""

    def __init__(self, **described):
        self.asked, self.described = 0, described

    def stat(self, key):
        self.asked += 1
        return ObjectInfo(key, len(DATA), content_type="text/plain", **{"etag": "x", **self.described})


@pytest.mark.parametrize(
    ("listed", "described", "same", "asked"),
    [
        ({"etag": MD5}, {}, True, 0),
        ({"etag": MD5.upper()}, {}, True, 0),
        ({"etag": "0" * 32}, {"md5": "0" * 32}, False, 1),
        ({"etag": "0" * 32}, {"sha256": SHA256}, True, 1),  # encrypted: its ETag is no MD5
        ({"etag": f"{MD5}-2"}, {"sha256": SHA256}, True, 1),
        ({"etag": f"{MD5}-2"}, {"sha256": "0" * 64}, False, 1),
        ({"etag": f"{MD5}-2"}, {}, False, 1),  # nothing to compare
        ({"etag": MD5, "size": 3}, {}, False, 0),
        ({"etag": "x", "sha256": SHA256}, {}, True, 0),
    ],
)
def test_what_is_compared(tmp_path, listed, described, same, asked):
    path = tmp_path / "a"
    path.write_bytes(DATA)
    bucket = Bucket(**described)
    info = ObjectInfo("a", **{"size": len(DATA), **listed})
    assert Comparison(bucket, Meter()).is_same(path, Fingerprint.of(path), info) is same
    assert bucket.asked == asked


def test_empty_files_are_the_same(tmp_path):
    (tmp_path / "a").touch()
    assert Comparison(Bucket(), Meter()).is_same(
        tmp_path / "a", Fingerprint.of(tmp_path / "a"), ObjectInfo("a", 0, "")
    )
