from __future__ import annotations

import hashlib
import sys
import zlib

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


@pytest.mark.parametrize("size", [0, 1, 10, 20, 21, 1000])
def test_a_digest_by_pieces_is_that_of_their_digests(tmp_path, size, monkeypatch):
    monkeypatch.setattr(digests, "PIECE_BYTES", 10)
    monkeypatch.setattr(digests, "BLOCK_BYTES", 3)
    data = bytes(range(250)) * 4
    (tmp_path / "a").write_bytes(data[:size])
    pieces = [data[start : min(start + 10, size)] for start in range(0, size, 10)]
    expected = hashlib.sha256(b"".join(hashlib.sha256(piece).digest() for piece in pieces)).hexdigest()
    assert digests.file_digest(tmp_path / "a", digests.PIECES, Meter()) == expected
    both = digests.sha256_and_pieces(tmp_path / "a", Meter())
    assert both == (hashlib.sha256(data[:size]).hexdigest(), expected if size > 10 else "")


def test_cancel_ends_a_digest_by_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr(digests, "PIECE_BYTES", 10)
    (tmp_path / "a").write_bytes(bytes(100))
    meter = Meter()
    meter.stop()
    with pytest.raises(TransferCancelled):
        digests.file_digest(tmp_path / "a", digests.PIECES, meter)


def test_a_crc32_goes_on_after_an_earlier_one():
    assert digests.crc32(b"cd", digests.crc32(b"ab")) == zlib.crc32(b"abcd")


def test_without_the_fast_library_the_standard_one_computes_the_crc32(monkeypatch):
    digests._crc32.cache_clear()
    monkeypatch.setitem(sys.modules, "isal.isal_zlib", None)
    assert digests.crc32(b"abcd") == zlib.crc32(b"abcd")
    digests._crc32.cache_clear()
