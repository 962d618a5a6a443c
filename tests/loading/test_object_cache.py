from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cloud_storage import errors
from cloud_storage.loading import object_cache
from cloud_storage.storage.base import ObjectInfo, Opened, Storage
from cloud_storage.system.meter import Meter


class Shelf(Storage):
    """A storage in memory that counts its requests and can be unplugged."""

    place, max_key_bytes = "shelf", 1024

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.offline = False

    def _ask(self, what):
        self.requests.append(what)
        if self.offline:
            raise errors.Unreachable("Could not reach the shelf. Plug it in.")

    def stat(self, key):
        self._ask("stat")
        if key not in self.objects:
            raise errors.NotFound("Nothing. Look elsewhere.")
        return ObjectInfo(key, len(self.objects[key]), f"etag-{hash(self.objects[key])}")

    def _open(self, key, start, stop, etag):
        self._ask("open")
        data = self.objects[key][start:stop]
        info = ObjectInfo(key, len(self.objects[key]), f"etag-{hash(self.objects[key])}")
        return Opened(info, len(data), iter([data]))

    def list(self, prefix="", limit=None, after=""):
        raise NotImplementedError

    page = _put = _delete = url = signed_url = list


@pytest.fixture
def shelf():
    return Shelf()


def test_an_unchanged_object_is_not_downloaded_again(shelf, tmp_path):
    shelf.objects["a"] = b"content"
    assert object_cache.fetch(shelf, "a", tmp_path, Meter()).path.read_bytes() == b"content"
    shelf.requests.clear()
    assert object_cache.fetch(shelf, "a", tmp_path, Meter()).path.read_bytes() == b"content"
    assert shelf.requests == ["stat"]


def test_what_a_listing_has_told_is_not_asked_again(shelf, tmp_path):
    shelf.objects["a"] = b"content"
    listed = shelf.stat("a")
    shelf.requests.clear()
    for _ in range(2):
        copy = object_cache.fetch(shelf, "a", tmp_path, Meter(), listed=listed)
        assert (copy.path.read_bytes(), copy.etag) == (b"content", listed.etag)
    assert shelf.requests == ["open"]


def test_an_object_that_was_replaced_after_the_listing_is_loaded_as_it_is_now(shelf, tmp_path):
    shelf.objects["a"] = b"before"
    listed = shelf.stat("a")
    shelf.objects["a"] = b"and after"
    copy = object_cache.fetch(shelf, "a", tmp_path, Meter(), listed=listed)
    assert (copy.path.read_bytes(), copy.etag) == (b"and after", shelf.stat("a").etag)


def test_a_listing_without_an_etag_tells_nothing(shelf, tmp_path):
    shelf.objects["a"] = b"content"
    object_cache.fetch(shelf, "a", tmp_path, Meter(), listed=ObjectInfo("a", 7, ""))
    assert shelf.requests == ["stat", "open"]


def test_an_object_that_a_listing_calls_too_large_is_not_requested(shelf, tmp_path):
    listed = ObjectInfo("a", object_cache.OBJECT_MAX_BYTES + 1, "etag")
    with pytest.raises(errors.MediaError):
        object_cache.fetch(shelf, "a", tmp_path, Meter(), listed=listed)
    assert shelf.requests == []


def test_a_changed_object_is(shelf, tmp_path):
    shelf.objects["a"] = b"before"
    object_cache.fetch(shelf, "a", tmp_path, Meter())
    shelf.objects["a"] = b"after!"
    assert object_cache.fetch(shelf, "a", tmp_path, Meter()).path.read_bytes() == b"after!"


def test_offline_the_last_copy_stands_and_is_not_called_current(shelf, tmp_path):
    shelf.objects["a"] = b"content"
    shelf.objects["b"] = b"never loaded"
    assert object_cache.fetch(shelf, "a", tmp_path, Meter()).etag
    shelf.offline = True
    copy = object_cache.fetch(shelf, "a", tmp_path, Meter())
    assert (copy.path.read_bytes(), copy.etag) == (b"content", None)
    with pytest.raises(errors.Unreachable):
        object_cache.fetch(shelf, "b", tmp_path, Meter())


def test_a_missing_object_is_not_found_even_with_a_copy_at_hand(shelf, tmp_path):
    shelf.objects["a"] = b"content"
    object_cache.fetch(shelf, "a", tmp_path, Meter())
    del shelf.objects["a"]
    with pytest.raises(errors.NotFound):
        object_cache.fetch(shelf, "a", tmp_path, Meter())


def test_two_places_do_not_share_copies(shelf, tmp_path):
    other = Shelf()
    other.place = "another shelf"
    shelf.objects["a"], other.objects["a"] = b"one", b"two"
    assert (
        object_cache.fetch(shelf, "a", tmp_path, Meter()).path
        != object_cache.fetch(other, "a", tmp_path, Meter()).path
    )


def test_a_copy_cut_short_is_downloaded_again(shelf, tmp_path):
    shelf.objects["a"] = b"content"
    object_cache.fetch(shelf, "a", tmp_path, Meter()).path.write_bytes(b"con")
    assert object_cache.fetch(shelf, "a", tmp_path, Meter()).path.read_bytes() == b"content"


def test_the_least_recently_used_copies_go_when_the_folder_is_full(shelf, tmp_path, monkeypatch):
    monkeypatch.setattr(object_cache, "MAX_BYTES", 250)
    for number, key in enumerate("abc"):
        shelf.objects[key] = bytes([number]) * 100
        path = object_cache.fetch(shelf, key, tmp_path, Meter()).path
        os.utime(path, (number, number))
    assert sorted(path.stat().st_size for path in tmp_path.iterdir()) == [100, 100]
    shelf.requests.clear()
    object_cache.fetch(shelf, "c", tmp_path, Meter())
    object_cache.fetch(shelf, "b", tmp_path, Meter())
    assert shelf.requests == ["stat", "stat"]
    object_cache.fetch(shelf, "a", tmp_path, Meter())
    assert shelf.requests[2:] == ["stat", "open"]


def test_the_folder_is_looked_through_only_when_it_may_be_full(shelf, tmp_path, monkeypatch):
    monkeypatch.setattr(object_cache, "MAX_BYTES", 1000)
    looks = []
    real = Path.glob

    def glob(self, pattern):
        looks.append(pattern)
        return real(self, pattern)

    monkeypatch.setattr(Path, "glob", glob)
    most = 0
    for number in range(50):
        shelf.objects[str(number)] = b"%02d" % number * 10
        object_cache.fetch(shelf, str(number), tmp_path, Meter())
        most = max(most, sum(path.stat().st_size for path in tmp_path.iterdir()))
    assert len(looks) == 1
    for number in range(50, 200):
        shelf.objects[str(number)] = b"%03d" % number * 7
        object_cache.fetch(shelf, str(number), tmp_path, Meter())
        most = max(most, sum(path.stat().st_size for path in tmp_path.iterdir()))
    assert 980 <= most <= 1000
    assert len(looks) < 50


def test_an_object_larger_than_the_folder_is_still_loaded(shelf, tmp_path, monkeypatch):
    monkeypatch.setattr(object_cache, "MAX_BYTES", 10)
    shelf.objects["a"] = b"x" * 100
    assert object_cache.fetch(shelf, "a", tmp_path, Meter()).path.read_bytes() == b"x" * 100


# ------------------------------------------------------------ several at once


class Crowd(Shelf):
    """A shelf that gives out nothing until ``count`` threads are there: they open an object, or wait."""

    def __init__(self, count: int, failures: int = 0) -> None:
        super().__init__()
        self.count, self.failures = count, failures
        self.here: set[int] = set()
        self.begun, self.complete = threading.Event(), threading.Event()

    def arrive(self):
        self.here.add(threading.get_ident())
        self.begun.set()
        if len(self.here) == self.count:
            self.complete.set()

    def _open(self, key, start, stop, etag):
        self.arrive()
        self.complete.wait()
        if self.failures:
            self.failures -= 1
            raise errors.AccessDenied("No. Ask again.")
        return super()._open(key, start, stop, etag)

    def fetched(self, folder, meter):
        """The content, or what was raised."""
        try:
            return object_cache.fetch(self, "a", folder, meter).path.read_bytes()
        except errors.StorageError as error:
            return type(error)


class Waiting(Meter):
    """A meter that tells the crowd that somebody looks at it."""

    def __init__(self, crowd: Crowd) -> None:
        super().__init__()
        self.crowd = crowd

    def check(self):
        self.crowd.arrive()
        super().check()


def all_at_once(crowd, folder):
    with ThreadPoolExecutor(crowd.count) as threads:
        return list(threads.map(lambda _: crowd.fetched(folder, Waiting(crowd)), range(crowd.count)))


def test_an_object_that_several_ask_for_at_once_is_downloaded_once(tmp_path):
    crowd = Crowd(4)
    crowd.objects["a"] = b"content"
    assert all_at_once(crowd, tmp_path) == [b"content"] * 4
    assert sorted(crowd.requests) == ["open"] + ["stat"] * 4
    assert not object_cache._arriving._held


def test_when_that_download_fails_the_next_one_tries(tmp_path):
    crowd = Crowd(4, failures=1)
    crowd.objects["a"] = b"content"
    results = all_at_once(crowd, tmp_path)
    assert results.count(errors.AccessDenied) == 1
    assert results.count(b"content") == 3
    assert crowd.requests.count("open") == 1
    assert not object_cache._arriving._held


def test_who_waits_for_a_download_can_be_cancelled(tmp_path):
    crowd = Crowd(2)
    crowd.objects["a"] = b"content"
    stopped = Waiting(crowd)
    stopped.stop()
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(crowd.fetched, tmp_path, Meter())
        crowd.begun.wait()
        second = threads.submit(crowd.fetched, tmp_path, stopped)
        assert second.result() is errors.TransferCancelled
        assert first.result() == b"content"
    assert crowd.requests.count("open") == 1


def test_a_copy_at_hand_is_not_replaced_while_somebody_may_read_it(shelf, tmp_path):
    shelf.objects["a"] = b"before"
    path = object_cache.fetch(shelf, "a", tmp_path, Meter()).path
    node = path.stat().st_ino
    seen = ObjectInfo("a", 6, "an etag of a moment ago")
    shelf.stat = lambda key: seen
    assert object_cache.fetch(shelf, "a", tmp_path, Meter()).path == path
    assert path.stat().st_ino == node
    assert list(tmp_path.iterdir()) == [path]


def test_the_copies_are_measured_and_cleared_and_then_downloaded_again(shelf, tmp_path):
    shelf.objects["a.png"] = b"content"
    assert object_cache.used(tmp_path / "missing") == 0
    copy = object_cache.fetch(shelf, "a.png", tmp_path, Meter())
    (tmp_path / "other.png").write_bytes(b"of somebody else")
    size = copy.path.stat().st_size
    assert object_cache.used(tmp_path) == size > 0
    object_cache.clear(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["other.png"]
    assert object_cache.used(tmp_path) == 0
    assert object_cache.fetch(shelf, "a.png", tmp_path, Meter()).path.stat().st_size == size
