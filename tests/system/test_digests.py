from __future__ import annotations

import hashlib

import pytest
from cloud_storage.errors import TransferCancelled
from cloud_storage.system import digests
from cloud_storage.system.meter import Meter


@pytest.mark.parametrize("size", [0, 1, digests.BLOCK_BYTES, digests.BLOCK_BYTES + 1])
@pytest.mark.parametrize("algorithm", ["sha256", "md5"])
def test_a_digest_is_that_of_the_whole_file(tmp_path, size, algorithm):
    data = bytes(range(256)) * (size // 256 + 1)
    (tmp_path / "a").write_bytes(data[:size])
    assert (
        digests.file_digest(tmp_path / "a", algorithm, Meter())
        == hashlib.new(algorithm, data[:size]).hexdigest()
    )


def test_cancel_ends_it(tmp_path):
    (tmp_path / "a").write_bytes(b"content")
    meter = Meter()
    meter.stop()
    with pytest.raises(TransferCancelled):
        digests.file_sha256(tmp_path / "a", meter)
