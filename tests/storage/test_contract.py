"""What every backend promises, on every server, opened the way users open one."""

from __future__ import annotations

import hashlib
import os
import threading
import time
import urllib.parse
import urllib.request
from datetime import timedelta

import pytest
from cloud_storage import errors
from cloud_storage.loading import download
from cloud_storage.storage.base import PutOptions
from cloud_storage.system.meter import Meter

MIB = 1 << 20
LARGE = os.urandom(MIB) * 40  # more than one part and more than one range

KEYS = [
    "plain.txt",
    "with space/and  two.txt",
    "a+b=c&d?e#f.txt",
    "100%/%41.txt",
    "quotes'\"`;:,@!$()*[]{}|^<>~.txt",
    "中文/図/ключ/é.png",
    "emoji-🎉-👩‍🎨.webp",
    "very/" + "long/" * 180 + "é" * 40,
    "a//b",
]


class StopsAfter(Meter):
    """A meter that stops itself when a number of bytes has been counted."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit

    def add(self, count: int) -> None:
        super().add(count)
        if self.done >= self._limit:
            self.stop()


@pytest.fixture
def storage(place, folder):
    return place.open(path_prefix=folder)


def put(storage, key, data=b"data", **options):
    return storage.put(key, data, PutOptions(**options), Meter())


@pytest.mark.parametrize("size", [0, 1, 5 * MIB + 3])
def test_what_is_put_is_read_back(storage, size):
    data = os.urandom(size)
    meter = Meter()
    stored = storage.put(
        "a.bin", data, PutOptions(content_type="image/png", metadata={"sha256": "ab12"}), meter
    )
    found = storage.stat("a.bin")
    assert (
        (stored.key, stored.size, stored.etag)
        == (found.key, found.size, found.etag)
        == ("a.bin", size, found.etag)
    )
    assert (found.content_type, found.sha256) == ("image/png", "ab12")
    assert abs(found.modified.timestamp() - time.time()) < 600
    assert meter.done == size
    counted = Meter()
    assert storage.read("a.bin", meter=counted) == data
    assert counted.done == size


def test_a_file_is_put_as_it_is(storage, tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(LARGE)
    meter = Meter()
    stored = storage.put("m.safetensors", path, PutOptions(), meter)
    assert (stored.size, meter.done) == (len(LARGE), len(LARGE))
    assert hashlib.sha256(storage.read("m.safetensors")).digest() == hashlib.sha256(LARGE).digest()


@pytest.mark.parametrize("key", KEYS)
def test_any_key_round_trips(storage, place, key):
    put(storage, key, key.encode())
    assert storage.read(key) == key.encode()
    assert [info.key for info in storage.list(key)] == [key]
    with opened(storage.signed_url(key, timedelta(hours=1)), place) as answer:
        assert answer.read() == key.encode()
    assert urllib.parse.unquote(storage.url(key)).endswith(storage.path_prefix + key)
    storage.delete(key)
    with pytest.raises(FileNotFoundError):
        storage.stat(key)


def opened(url, place):
    import ssl

    context = None
    if url.startswith("https"):
        context = ssl.create_default_context(cafile=place.environ["COMFY_S3_CA_FILE"])
    return urllib.request.urlopen(url, context=context)


def test_an_unsigned_address_opens_nothing(storage, place):
    put(storage, "private.txt")
    with pytest.raises(urllib.error.HTTPError) as refused:
        opened(storage.url("private.txt"), place)
    assert refused.value.code == 403


def test_options_reach_the_object(storage, place):
    put(
        storage,
        "o.txt",
        content_type="text/plain",
        cache_control="max-age=60",
        content_disposition='inline; filename="o.txt"',
        metadata={"note": "Grüße, 世界 100%"},
    )
    with opened(storage.signed_url("o.txt", timedelta(minutes=5)), place) as answer:
        headers = {name.lower(): value for name, value in answer.headers.items()}
    assert headers["cache-control"] == "max-age=60"
    assert headers["content-type"] == "text/plain"
    assert headers["content-disposition"].startswith("inline")
    note = headers.get("x-amz-meta-note") or headers["x-oss-meta-note"]
    assert urllib.parse.unquote(note) == "Grüße, 世界 100%"
    assert "content-encoding" not in headers


def test_a_page_holds_what_lies_directly_in_a_folder(storage):
    for key in ("x.txt", "a/1", "a/é %2F/2", "a/b/c/3", "a/b/4", "ab/5"):
        put(storage, key)
    top, below = storage.page(), storage.page("a/")
    assert ([info.key for info in top.objects], list(top.folders)) == (["x.txt"], ["a/", "ab/"])
    assert ([info.key for info in below.objects], list(below.folders)) == (["a/1"], ["a/b/", "a/é %2F/"])
    assert top.objects[0].size == 4
    assert top.objects[0].etag == storage.stat("x.txt").etag
    assert not top.next_token
    assert not storage.page("nowhere/").objects


def test_pages_follow_each_other_and_leave_nothing_out(storage):
    for number in range(4):
        put(storage, f"{number}.txt")
        put(storage, f"{number}-folder/a")
        put(storage, f"{number}-folder/b")
    objects, folders, token, pages = [], [], "", 0
    while True:
        page = storage.page("", 3, token)
        assert len(page.objects) + len(page.folders) <= 3
        objects += [info.key for info in page.objects]
        folders += page.folders
        token, pages = page.next_token, pages + 1
        if not token:
            break
    assert objects == [f"{number}.txt" for number in range(4)]
    assert folders == [f"{number}-folder/" for number in range(4)]
    assert pages >= 3


def test_a_missing_object_is_not_found(storage):
    with pytest.raises(FileNotFoundError, match=r"nothing\.txt"):
        storage.stat("nothing.txt")
    with pytest.raises(errors.NotFound):
        storage.read("nothing.txt")
    with pytest.raises(errors.NotFound):
        storage.read("nothing.txt", 5, 10)
    storage.delete("nothing.txt")


def test_a_missing_bucket_is_named(place):
    storage = place.open(bucket="no-such-bucket-here")
    for attempt in (
        lambda: storage.stat("a"),
        lambda: storage.read("a"),
        lambda: list(storage.list()),
        lambda: put(storage, "a"),
    ):
        with pytest.raises(errors.StorageError, match="no-such-bucket-here") as raised:
            attempt()
        assert isinstance(raised.value, (errors.NotFound, errors.AccessDenied))
        if isinstance(raised.value, errors.NotFound):
            assert "bucket's name" in str(raised.value)


def test_ranges_are_what_a_slice_would_be(storage):
    data = bytes(range(256)) * 8
    put(storage, "r.bin", data)
    etag = storage.stat("r.bin").etag
    for start, stop in [
        (0, 10),
        (5, 6),
        (100, 2048),
        (100, 5000),
        (2048, 2049),
        (5000, 6000),
        (7, 7),
        (2000, None),
    ]:
        assert storage.read("r.bin", start, stop, etag) == data[start:stop], (start, stop)
    info, chunks = storage.stream("r.bin", 10, 20)
    assert (info.size, info.etag, b"".join(chunks)) == (len(data), etag, data[10:20])


def test_an_empty_object_has_empty_ranges(storage):
    put(storage, "empty.bin", b"")
    assert storage.read("empty.bin") == storage.read("empty.bin", 0, 10) == b""


def test_a_replaced_object_is_changed(storage):
    before = put(storage, "c.txt", b"before")
    after = put(storage, "c.txt", b"after!")
    assert before.etag != after.etag
    with pytest.raises(errors.Changed):
        storage.read("c.txt", etag=before.etag)
    with pytest.raises(errors.Changed):
        storage.read("c.txt", 1, 3, etag=before.etag)
    assert storage.read("c.txt", 1, 3, etag=after.etag) == b"ft"


def test_a_list_is_in_key_order_and_in_pages(storage):
    from cloud_storage.system import thread_pool

    keys = [f"many/{number:04d}.txt" for number in range(1010)]
    thread_pool.run([lambda key=key: put(storage, key, b"") for key in keys], 8)
    put(storage, "other/x.txt", b"abc")
    assert [info.key for info in storage.list("many/")] == keys
    assert [info.key for info in storage.list("many/", limit=3)] == keys[:3]
    assert [info.key for info in storage.list("many/", limit=2, after="many/0500.txt")] == keys[501:503]
    assert [info.key for info in storage.list("many/", after="many/1008.txt")] == keys[1009:]
    assert [info.key for info in storage.list("many/", limit=1005)] == keys[:1005]
    assert [info.key for info in storage.list("many/0007")] == ["many/0007.txt"]
    assert list(storage.list("nothing/")) == []
    assert list(storage.list("many/", limit=0)) == []
    (other,) = storage.list("other/")
    assert (other.key, other.size) == ("other/x.txt", 3)
    assert other.etag == storage.stat("other/x.txt").etag
    assert other.modified is not None


def test_create_never_replaces(storage):
    first = storage.put("once.txt", b"first", PutOptions(), Meter(), create=True)
    with pytest.raises(FileExistsError, match=r"once\.txt"):
        storage.put("once.txt", b"second", PutOptions(), Meter(), create=True)
    assert storage.read("once.txt") == b"first"
    assert storage.stat("once.txt").etag == first.etag


def stored_in_a_race(storage, refusal, **condition):
    """What was stored of eight threads' different contents, all for "race.txt" at once; ``refusal`` is the
    error of the others.
    """
    stored, start = [], threading.Barrier(8)

    def store(content):
        start.wait()
        try:
            storage.put("race.txt", content, PutOptions(), Meter(), **condition)
            stored.append(content)
        except refusal:
            pass

    threads = [threading.Thread(target=store, args=(f"{number}".encode(),)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return stored


def test_of_many_that_create_one_key_one_wins(storage):
    stored = stored_in_a_race(storage, errors.AlreadyExists, create=True)
    assert stored == [storage.read("race.txt")]


def test_an_object_is_replaced_only_while_it_is_the_expected_one(storage):
    first = put(storage, "own.txt", b"first")
    second = storage.put("own.txt", b"second", PutOptions(), Meter(), replaces=first.etag)
    assert storage.read("own.txt") == b"second"
    with pytest.raises(errors.Changed, match=r"own\.txt"):
        storage.put("own.txt", b"third", PutOptions(), Meter(), replaces=first.etag)
    assert storage.stat("own.txt").etag == second.etag
    large = storage.put("own.txt", LARGE, PutOptions(), Meter(), replaces=second.etag)
    with pytest.raises(errors.Changed):
        storage.put("own.txt", LARGE + b"x", PutOptions(), Meter(), replaces=second.etag)
    assert storage.stat("own.txt").etag == large.etag
    with pytest.raises(errors.Changed):
        storage.put("none.txt", b"x", PutOptions(), Meter(), replaces=first.etag)
    assert [info.key for info in storage.list()] == ["own.txt"]


def test_of_many_that_replace_one_version_one_wins(storage, place):
    first = put(storage, "race.txt", b"first")
    stored = stored_in_a_race(storage, errors.Changed, replaces=first.etag)
    there = storage.read("race.txt")
    if place.is_oss:  # it has no If-Match for a write: the version is compared before
        assert there in stored
    else:
        assert stored == [there]


def test_a_large_upload_that_would_replace_is_refused(storage, place, tmp_path):
    put(storage, "taken.bin", b"small")
    with pytest.raises(errors.AlreadyExists):
        storage.put("taken.bin", LARGE, PutOptions(), Meter(), create=True)
    assert storage.read("taken.bin") == b"small"
    assert place.open_uploads() == []
    stored = storage.put("free.bin", LARGE, PutOptions(content_type="x/y"), Meter(), create=True)
    assert (stored.size, stored.content_type) == (len(LARGE), "x/y")


def test_a_cancelled_upload_leaves_nothing(storage, place):
    with pytest.raises(errors.TransferCancelled):
        storage.put("big.bin", LARGE, PutOptions(), StopsAfter(len(LARGE) // 2))
    with pytest.raises(errors.TransferCancelled):
        storage.put("small.bin", LARGE[: 10 * MIB], PutOptions(), StopsAfter(5 * MIB))
    assert list(storage.list()) == []
    assert place.open_uploads() == []


def test_a_download_is_the_object(storage, tmp_path):
    put(storage, "d.bin", LARGE)
    meter = Meter()
    info = download.download(storage, "d.bin", tmp_path / "d.bin", meter)
    assert (tmp_path / "d.bin").read_bytes() == LARGE
    assert (info.size, meter.done, meter.total) == (len(LARGE),) * 3
    put(storage, "empty.bin", b"")
    download.download(storage, "empty.bin", tmp_path / "empty.bin", Meter())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["d.bin", "empty.bin"]


def test_a_cancelled_download_leaves_nothing(storage, tmp_path):
    put(storage, "d.bin", LARGE)
    with pytest.raises(errors.TransferCancelled):
        download.download(storage, "d.bin", tmp_path / "d.bin", StopsAfter(len(LARGE) // 2))
    assert list(tmp_path.iterdir()) == []


def test_a_download_that_is_not_what_was_uploaded_is_refused(storage, tmp_path):
    put(storage, "d.bin", b"these bytes", metadata={"sha256": hashlib.sha256(b"other bytes").hexdigest()})
    with pytest.raises(errors.IntegrityError, match="sha256"):
        download.download(storage, "d.bin", tmp_path / "d.bin", Meter())
    assert list(tmp_path.iterdir()) == []


def test_a_prefix_is_applied_once(place, folder):
    inner = place.open(path_prefix=f"{folder}inner/")
    outer = place.open(path_prefix=folder)
    put(inner, "a/b.txt", b"x")
    assert [info.key for info in inner.list()] == ["a/b.txt"]
    assert [info.key for info in outer.list()] == ["inner/a/b.txt"]
    assert inner.url("a/b.txt") == outer.url("inner/a/b.txt")


def test_a_public_url_is_the_base_of_addresses(place, folder):
    storage = place.open(path_prefix=folder, public_url="https://cdn.example.com/files/")
    assert storage.url("a b/ü.png") == f"https://cdn.example.com/files/{folder}a%20b/%C3%BC.png"


def test_a_wrong_secret_is_denied_and_never_shown(place):
    wrong = "wrong-secret-that-nobody-may-see"
    storage = place.open(secret_key=wrong)
    for attempt in (lambda: storage.stat("a"), lambda: list(storage.list()), lambda: put(storage, "a")):
        with pytest.raises(PermissionError, match="secret key of the profile") as denied:
            attempt()
        assert wrong not in str(denied.value)


def test_an_unknown_key_id_is_denied(place):
    storage = place.open(access_key="AKIAUNKNOWN000000001")
    with pytest.raises(errors.AccessDenied, match="access key of the profile"):
        list(storage.list())


def test_a_read_only_profile_writes_nothing(place, folder):
    put(place.open(path_prefix=folder), "kept.txt")
    storage = place.open(path_prefix=folder, read_only="true")
    for attempt in (lambda: put(storage, "a.txt"), lambda: storage.delete("kept.txt")):
        with pytest.raises(errors.ConfigurationError, match="read-only"):
            attempt()
    assert storage.read("kept.txt") == b"data"
    assert [info.key for info in storage.list()] == ["kept.txt"]


def test_the_servers_clock_is_known_after_a_request(storage):
    put(storage, "a.txt")
    assert abs(storage.clock_difference.total_seconds()) < 5
