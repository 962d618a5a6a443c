"""A large download under real faults, on both backends: the right file in the end or none, and no byte twice
that was there already, but for what each connection had under way.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from cloud_storage import errors
from cloud_storage.loading import download_journal, resumable_download
from cloud_storage.loading.download import RANGE_MIN_BYTES, fetch_ranges
from cloud_storage.storage import http
from cloud_storage.storage.base import PutOptions
from cloud_storage.storage.oss import client as oss_client
from cloud_storage.storage.s3 import client as s3_client
from cloud_storage.system import concurrency, digests, watch
from cloud_storage.system.meter import Meter
from conftest import ROOT
from servers.faults import Answer, Cut, Fault, Flip, s3_error

pytestmark = pytest.mark.usefixtures("impatient")

MIB = 1 << 20
SIZE = RANGE_MIN_BYTES * concurrency.FIRST  # one range for each connection
LARGE = os.urandom(MIB) * (SIZE // MIB)

# What one connection may lose: the chunk that it is reading, and what is on its way to it: the buffers of its
# sockets grow to some 4 MiB, whatever a chunk is. Less than a range.
LOST = http.CHUNK_MAX_BYTES + 4 * MIB
UNDER_WAY = LOST * concurrency.FIRST


def sha256(data):
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def stored(direct):
    """The object as an upload of this package makes it."""
    options = PutOptions(metadata={"sha256": sha256(LARGE)})
    return direct.put("a.bin", LARGE, options, Meter()) and direct.stat("a.bin")


@pytest.fixture
def part(tmp_path):
    return tmp_path / "a.bin.part"


def download(opened, info, part, meter=None, **changes):
    digest = changes.get("digest", resumable_download.expected(info))
    resumable_download.download(opened, info, part, digest, meter or Meter())


def moved(proxy):
    return sum(record.response_bytes for record in proxy.requests if record.method == "GET")


def noted(part):
    """Bytes that the notes say are there."""
    lines = [json.loads(line) for line in download_journal.journal_of(part).read_text().splitlines()[1:]]
    return sum(line[1] - line[0] for line in lines if isinstance(line, list))


def test_it_arrives_whole_and_counts_every_byte_once(shaky, stored, part, proxy):
    meter = Meter()
    download(shaky, stored, part, meter)
    assert part.read_bytes() == LARGE
    assert meter.done == meter.total == moved(proxy) == SIZE


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_connection_that_is_reset_is_taken_up_within_the_run(shaky, proxy, stored, part, share):
    rule = proxy.add(Fault(Cut("response body", share, "reset"), "GET", times=3))
    download(shaky, stored, part)
    assert rule.happened == 3
    assert part.read_bytes() == LARGE
    assert moved(proxy) <= SIZE + 3 * LOST


def test_bursts_of_503_are_sat_out(shaky, proxy, stored, part):
    rule = proxy.add(Fault(Answer(503, s3_error("SlowDown")), "GET", skip=1, times=6))
    download(shaky, stored, part)
    assert rule.happened == 6
    assert part.read_bytes() == LARGE
    assert moved(proxy) < SIZE + MIB


def test_a_stalled_socket_is_given_up_and_taken_up_again(
    fast_place, proxy, folder, stored, part, monkeypatch
):
    monkeypatch.setattr(s3_client, "READ_SECONDS", 5)
    monkeypatch.setattr(oss_client, "READ_SECONDS", 5)
    hasty = fast_place.open(endpoint_url=proxy.url, path_prefix=folder)
    rule = proxy.add(Fault(Cut("response body", 0.5, "silence"), "GET", skip=1))
    download(hasty, stored, part)
    assert rule.happened == 1
    assert part.read_bytes() == LARGE
    assert moved(proxy) <= SIZE + LOST


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_run_that_fails_is_gone_on_with_by_the_next(shaky, proxy, stored, part, share):
    proxy.add(Fault(Cut("response body", share, "close"), "GET", times=concurrency.FIRST))
    proxy.add(Fault(Answer(503, s3_error("SlowDown")), "GET", skip=concurrency.FIRST, times=None))
    with pytest.raises(errors.Unreachable):
        download(shaky, stored, part)
    kept = noted(part)
    assert moved(proxy) - kept <= UNDER_WAY
    proxy.clear()
    meter = Meter()
    download(shaky, stored, part, meter)
    assert part.read_bytes() == LARGE
    assert moved(proxy) == SIZE - kept
    assert meter.done == SIZE


CHILD = f"""
import os, sys
sys.path.insert(0, {str(ROOT / "tests")!r})
import conftest
from pathlib import Path
from cloud_storage.storage import connect
from cloud_storage import profile
from cloud_storage.loading import resumable_download
from cloud_storage.system.meter import Meter
storage = connect.connect(profile.resolve("", {{}}, Path("none.json"), os.environ))
info = storage.stat("a.bin")
resumable_download.download(storage, info, Path(sys.argv[1]), resumable_download.expected(info), Meter())
"""


def test_a_process_that_is_killed_at_50_percent_loses_less_than_a_part_per_connection(
    fast_place, shaky, proxy, folder, stored, part
):
    rules = silent_half_way(proxy)
    settings = fast_place.settings({"path_prefix": folder, "endpoint_url": proxy.url})
    with subprocess.Popen([sys.executable, "-c", CHILD, str(part)], env={**os.environ, **settings}) as child:
        for rule in rules:
            rule.wait(60)
        wait_until(lambda: noted(part) > SIZE // 2 - UNDER_WAY, child)
        child.kill()
    kept = noted(part)
    assert kept < SIZE * 0.51
    proxy.clear()
    download(shaky, stored, part)
    assert part.read_bytes() == LARGE
    assert moved(proxy) == SIZE - kept
    assert moved(proxy) <= SIZE // 2 + UNDER_WAY


def silent_half_way(proxy):
    """Every connection falls silent in the middle of its range."""
    return [
        proxy.add(Fault(Cut("response body", 0.5, "silence"), "GET", skip=number))
        for number in range(concurrency.FIRST)
    ]


def wait_until(holds, child):
    """Look again until it does; a process that has ended will not change anything any more."""
    while not holds():
        assert child.poll() is None, "the process has ended"
        time.sleep(0.01)


def test_an_object_replaced_between_two_runs_starts_again(shaky, proxy, direct, stored, part):
    proxy.add(Fault(Cut("response body", 0.5, "close"), "GET", times=None))
    with pytest.raises(errors.Unreachable):
        download(shaky, stored, part)
    proxy.clear()
    other = LARGE[::-1]
    direct.put("a.bin", other, PutOptions(), Meter())
    download(shaky, direct.stat("a.bin"), part)
    assert part.read_bytes() == other
    assert moved(proxy) == SIZE


def test_an_object_replaced_halfway_is_changed(shaky, proxy, direct, stored, part, monkeypatch):
    monkeypatch.setattr(concurrency, "MOST", 1)  # so that a range is still to come
    rule = proxy.add(Fault(Cut("response body", 0.5, "silence"), "GET"))
    outcome = []

    def run():
        try:
            download(shaky, stored, part)
        except errors.StorageError as error:
            outcome.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    rule.wait()
    direct.put("a.bin", LARGE[::-1], PutOptions(), Meter())
    proxy.release()
    thread.join()
    assert isinstance(outcome[0], errors.Changed)
    download(shaky, direct.stat("a.bin"), part)
    assert part.read_bytes() == LARGE[::-1]


def test_a_flipped_bit_is_noticed_and_nothing_is_kept(shaky, proxy, stored, part, tmp_path):
    rule = proxy.add(Fault(Flip(MIB), "GET", skip=2))
    with pytest.raises(errors.IntegrityError, match="sha256"):
        download(shaky, stored, part)
    assert rule.happened == 1
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def in_pieces(direct, tmp_path, monkeypatch):
    """The object as an upload of this package makes it, with a checksum of each 10 MiB."""
    monkeypatch.setattr(digests, "PIECE_BYTES", 10 * MIB)
    file = tmp_path / "source.bin"
    file.write_bytes(LARGE)
    whole, pieces = digests.sha256_and_pieces(file, Meter())
    file.unlink()
    metadata = {"sha256": whole, digests.PIECES: pieces}
    return direct.put("a.bin", LARGE, PutOptions(metadata=metadata), Meter()) and direct.stat("a.bin")


def test_a_checksum_by_pieces_is_compared_where_an_upload_recorded_one(shaky, in_pieces, part, monkeypatch):
    assert resumable_download.expected(in_pieces).name == digests.PIECES
    monkeypatch.setattr(resumable_download._Digesting, "_of_whole", None)
    download(shaky, in_pieces, part)
    assert part.read_bytes() == LARGE


def test_a_checksum_that_the_user_typed_is_computed_whatever_an_upload_recorded(in_pieces):
    typed = sha256(LARGE)
    assert resumable_download.expected(in_pieces, typed) == resumable_download.Digest("sha256", typed)


def test_a_flipped_bit_is_noticed_by_the_checksum_of_its_piece(shaky, proxy, in_pieces, part, tmp_path):
    rule = proxy.add(Fault(Flip(MIB), "GET", skip=2))
    with pytest.raises(errors.IntegrityError, match="sha256"):
        download(shaky, in_pieces, part)
    assert rule.happened == 1
    assert list(tmp_path.iterdir()) == []


def test_after_a_failure_no_thread_waits_for_pieces(shaky, proxy, in_pieces, part):
    proxy.add(Fault(Answer(403, s3_error("AccessDenied")), "GET", skip=1, times=None))
    with pytest.raises(errors.StorageError):
        download(shaky, in_pieces, part)
    part.unlink()  # which an open file would forbid on Windows


def test_a_flipped_bit_is_noticed_by_an_etag_that_is_an_md5(shaky, proxy, direct, part, tmp_path):
    direct.put("small.bin", LARGE[: 9 * MIB], PutOptions(), Meter())
    info = direct.stat("small.bin")
    assert info.md5 == hashlib.md5(LARGE[: 9 * MIB]).hexdigest()
    proxy.add(Fault(Flip(MIB // 2), "GET"))
    with pytest.raises(errors.IntegrityError, match="MD5"):
        download(shaky, info, part)
    assert list(tmp_path.iterdir()) == []
    download(shaky, info, part)


def test_an_etag_of_parts_is_no_md5(direct, stored):
    direct.put("parts.bin", LARGE, PutOptions(), Meter())
    assert direct.stat("parts.bin").md5 == ""
    assert resumable_download.expected(direct.stat("parts.bin")) is None


def test_a_size_that_is_not_the_objects_is_noticed(shaky, direct, part, tmp_path):
    direct.put("s.bin", b"0123456789", PutOptions(), Meter())
    info = replace(direct.stat("s.bin"), size=12)
    with pytest.raises(errors.IntegrityError, match="10 of 12"):
        download(shaky, info, part, digest=None)


def test_a_file_that_grows_while_it_arrives_is_refused(shaky, direct, part, tmp_path, monkeypatch):
    direct.put("s.bin", b"0123456789", PutOptions(), Meter())
    real = fetch_ranges

    def fetch(*arguments):
        real(*arguments)
        with part.open("ab") as file:
            file.write(b"more")

    monkeypatch.setattr(resumable_download, "fetch_ranges", fetch)
    with pytest.raises(errors.IntegrityError, match="14 of 10 bytes"):
        download(shaky, direct.stat("s.bin"), part)
    assert list(tmp_path.iterdir()) == []


def test_an_empty_object_is_an_empty_file(shaky, direct, part):
    direct.put("empty.bin", b"", PutOptions(), Meter())
    download(shaky, direct.stat("empty.bin"), part)
    assert part.read_bytes() == b""


# ------------------------------------------------------------ the disk


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 64 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no file system can be mounted here: {error}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_is_too_small_is_told_before_a_byte_moves(shaky, proxy, stored, small_disk):
    with pytest.raises(errors.StorageError, match="bytes are missing") as raised:
        download(shaky, stored, small_disk / "a.bin.part")
    assert f"{SIZE:,}" in str(raised.value)
    assert moved(proxy) == 0


def test_a_disk_that_fills_up_meanwhile_fails_and_the_next_run_goes_on(
    shaky, proxy, stored, small_disk, monkeypatch
):
    part = small_disk / "a.bin.part"
    monkeypatch.setattr(resumable_download, "_refuse_full_disk", lambda *_: None)
    with pytest.raises(errors.StorageError, match="No space left"):
        download(shaky, stored, part)
    kept = noted(part)
    assert kept > 40 * MIB
    subprocess.run(["mount", "-o", "remount,size=200m", str(small_disk)], check=True)
    proxy.clear()
    download(shaky, stored, part)
    assert part.read_bytes() == LARGE
    assert moved(proxy) <= SIZE - kept


# ------------------------------------------------------------ cancel


class Pressed(BaseException):
    """Cancel was pressed."""


def test_a_cancelled_download_can_be_gone_on_with(shaky, proxy, stored, part):
    rules = silent_half_way(proxy)
    ended = threading.Event()

    def operation():
        try:
            download(shaky, stored, part, meter)
        finally:
            ended.set()

    def tick(meter):
        if all(rule.happened for rule in rules):
            raise Pressed

    meter = Meter()
    with pytest.raises(Pressed):
        asyncio.run(watch.run_in_thread(operation, meter, tick))
    proxy.release()
    assert ended.wait(60)
    kept = noted(part)
    assert kept > 0
    proxy.clear()
    download(shaky, stored, part)
    assert Path(part).read_bytes() == LARGE
    assert moved(proxy) == SIZE - kept
