"""Files that are on the disk when a function returns; what a full disk does is in test_disk.py."""

from __future__ import annotations

import os

import pytest
from cloud_storage.errors import TransferCancelled
from cloud_storage.system import durable_write
from cloud_storage.system.meter import Meter


def test_a_file_is_new_or_an_error(tmp_path):
    durable_write.write(tmp_path / "a", b"first")
    with pytest.raises(FileExistsError):
        durable_write.write(tmp_path / "a", b"second")
    assert (tmp_path / "a").read_bytes() == b"first"


@pytest.mark.parametrize("links", [True, False])
@pytest.mark.parametrize("linkable", [True, False])
def test_a_file_is_linked_if_that_is_allowed_and_possible_else_copied(tmp_path, monkeypatch, linkable, links):
    def refused(source, target):
        raise OSError(18, "Invalid cross-device link")

    if not links:
        monkeypatch.setattr(os, "link", refused)
    monkeypatch.setattr(durable_write, "COPY_BYTES", 3)
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(b"content")
    durable_write.link_or_copy(source, target, linkable, Meter())
    assert target.read_bytes() == b"content"
    assert source.samefile(target) is (linkable and links)


def test_bytes_are_written_and_cancel_ends_a_copy(tmp_path):
    durable_write.link_or_copy(b"content", tmp_path / "a", True, Meter())
    meter = Meter()
    meter.stop()
    with pytest.raises(TransferCancelled):
        durable_write.link_or_copy(tmp_path / "a", tmp_path / "b", False, meter)
    assert (tmp_path / "a").read_bytes() == b"content"


def test_a_folder_can_be_flushed(tmp_path):
    durable_write.flush_folder(tmp_path)
    if os.name != "nt":
        with pytest.raises(FileNotFoundError):
            durable_write.flush_folder(tmp_path / "none")


def test_what_a_write_takes_in_pieces_is_written_whole():
    class Slow:
        def __init__(self):
            self.taken = b""

        def write(self, data):
            self.taken += bytes(data[:100])
            return min(100, len(data))

    data, slow = bytes(range(250)), Slow()
    durable_write.write_all(slow, data)
    assert slow.taken == data


@pytest.mark.parametrize("before", [None, b"old"])
def test_a_file_is_replaced_whole_whatever_an_earlier_attempt_left(tmp_path, before):
    (tmp_path / "a.new").write_bytes(b"half of an earlier att")
    if before:
        (tmp_path / "a").write_bytes(before)
    durable_write.replace(tmp_path / "a", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_bytes() == b"new"
