"""What is removed to make room, what never is, and that a fetch without room fails before a byte moves."""

from __future__ import annotations

import contextlib
import os
import shutil
from types import SimpleNamespace

import pytest
from cloud_storage import errors
from cloud_storage.library import copies, disk_budget
from cloud_storage.loading import model_record
from cloud_storage.loading.download_journal import journal_of
from cloud_storage.loading.model_file import lock_of
from cloud_storage.system import locks
from cloud_storage.system.meter import Meter

from .conftest import listed, queue

SIZE = 1000


@pytest.fixture
def made(library, store, monkeypatch):
    """A library whose bucket has the LoRAs a to f of 1,000 bytes each, and whose budget is three of them."""
    for name in "abcdef":
        store(f"loras/{name}.safetensors", name.encode() * SIZE)
    monkeypatch.setenv("COMFY_S3_MODELS_BUDGET_GB", str(3.5 * SIZE / 1e9))
    return library()


@pytest.fixture
def fetch(made, tmp_path):
    """Fetch a model; its last use is later than that of all before."""
    times = iter(range(1000, 2000))

    def get(name):
        made.fetches.wait(made.fetches.start(made.catalogue.find("loras", f"{name}.safetensors")), Meter())
        moment = next(times)
        record = model_record.record_path(tmp_path / "models" / "loras" / f"{name}.safetensors")
        if record.exists():
            os.utime(record, (moment, moment))

    return get


def here(tmp_path):
    return "".join(sorted(path.stem for path in (tmp_path / "models" / "loras").rglob("*.safetensors")))


def test_the_copies_that_were_not_used_for_longest_make_room(made, fetch, tmp_path):
    for name in "abcd":
        fetch(name)
    assert here(tmp_path) == "bcd"
    copies.note_use(tmp_path / "models" / "loras" / "b.safetensors")
    fetch("e")
    assert here(tmp_path) == "bde"
    assert not model_record.record_path(tmp_path / "models" / "loras" / "a.safetensors").exists()
    assert "Removed 1" in made.fetches.states()[-1].text


def test_what_a_prompt_of_the_queue_names_is_never_removed(made, fetch, tmp_path, comfyui):
    for name in "abc":
        fetch(name)
    loader = {"1": {"class_type": "LoraLoader", "inputs": {"lora_name": "a.safetensors"}}}
    text = {"1": {"class_type": "AnotherLoader", "inputs": {"file": "b.safetensors"}}}
    queue(comfyui, loader, text, running=1)
    fetch("d")
    assert here(tmp_path) == "abd" or here(tmp_path) == "acd"
    assert "a" in here(tmp_path)


def test_what_a_prompt_names_that_is_just_being_posted_is_not_removed(made, fetch, tmp_path):
    for name in "abc":
        fetch(name)
    made.queued.posted({"1": {"class_type": "LoraLoader", "inputs": {"lora_name": "a.safetensors"}}})
    fetch("d")
    assert here(tmp_path) == "acd"


def test_what_was_changed_or_is_the_users_own_is_not_removed(made, fetch, tmp_path):
    for name in "abc":
        fetch(name)
    folder = tmp_path / "models" / "loras"
    (folder / "a.safetensors").write_bytes(b"trained further")
    model_record.record_path(folder / "b.safetensors").unlink()
    for name in "def":
        fetch(name)
    assert here(tmp_path) == "abdef", "of the copies c, d, e and f the budget has room for three"


def test_what_is_changed_after_it_was_chosen_is_not_removed(made, fetch, tmp_path, monkeypatch):
    for name in "abc":
        fetch(name)
    unless_named = made.queued.unless_named

    @contextlib.contextmanager
    def just_now(path):
        with unless_named(path) as is_free:
            path.write_bytes(b"trained further")
            yield is_free

    monkeypatch.setattr(made.queued, "unless_named", just_now)
    fetch("d")
    assert here(tmp_path) == "abcd", "a is the user's own now, and for three copies there is room"
    assert (tmp_path / "models" / "loras" / "a.safetensors").read_bytes() == b"trained further"


@pytest.mark.parametrize("change", ["deleted", "replaced", "unreachable"])
def test_what_the_bucket_does_not_provably_have_is_not_removed(
    made, fetch, tmp_path, store, cloud, change, monkeypatch
):
    for name in "abc":
        fetch(name)
    if change == "deleted":
        cloud.delete("models/loras/a.safetensors")
    elif change == "replaced":
        store("loras/a.safetensors", b"x" * SIZE)
    else:
        stat = type(cloud).stat

        def asked(storage, key):
            if key.endswith("a.safetensors"):
                raise errors.Unreachable("Could not ask (here): no answer. Check the network.")
            return stat(storage, key)

        monkeypatch.setattr(type(cloud), "stat", asked)
    fetch("d")
    assert here(tmp_path) == "acd"


def test_without_enough_room_nothing_is_removed_and_the_error_has_the_numbers(
    made, fetch, tmp_path, comfyui, store
):
    for name in "abc":
        fetch(name)
    store("loras/large.safetensors", b"l" * 4 * SIZE)
    listed(made.catalogue)
    with pytest.raises(errors.StorageError) as caught:
        fetch("large")
    assert "4.0 kB" in str(caught.value)
    assert "3.0 kB of their budget of 3.5 kB" in str(caught.value)
    assert here(tmp_path) == "abc"
    assert not list((tmp_path / "models" / "loras").glob("*.part"))


def test_without_enough_room_besides_what_is_named_nothing_is_removed(made, fetch, tmp_path, comfyui, store):
    for name in "abc":
        fetch(name)
    queue(comfyui, {"1": {"class_type": "LoraLoader", "inputs": {"lora_name": "c.safetensors"}}})
    store("loras/large.safetensors", b"l" * 3 * SIZE)
    listed(made.catalogue)
    with pytest.raises(errors.StorageError, match="queued workflows name them"):
        fetch("large")
    assert here(tmp_path) == "abc"


def test_free_room_on_the_disk_is_kept(made, fetch, tmp_path, monkeypatch):
    monkeypatch.setenv("COMFY_S3_MODELS_BUDGET_GB", "")
    monkeypatch.setenv("COMFY_S3_MODELS_KEEP_FREE_GB", str(2 * SIZE / 1e9))
    listed(made.catalogue)
    usage = shutil.disk_usage

    def disk(path):
        used = sum(one.stat().st_size for one in (tmp_path / "models").rglob("*.safetensors"))
        return SimpleNamespace(free=5 * SIZE - used, total=usage(path).total, used=0)

    monkeypatch.setattr(disk_budget.shutil, "disk_usage", disk)
    for name in "abcd":
        fetch(name)
    assert here(tmp_path) == "bcd"
    room = disk_budget.room(made.catalogue)
    assert (room.used, room.budget, room.free, room.keep_free) == (3 * SIZE, None, 2 * SIZE, 2 * SIZE)


def test_unfinished_downloads_go_first_unless_somebody_works_at_them(made, fetch, tmp_path):
    fetch("a")
    fetch("b")
    folder = tmp_path / "models" / "loras"
    for name, size in (("old", SIZE), ("busy", SIZE // 4)):
        part = folder / f"{name}.safetensors.part"
        part.write_bytes(b"p" * size)
        journal_of(part).write_text("{}")
    stranger = folder / "theirs.part"
    stranger.write_bytes(b"s" * SIZE)
    with locks.alone(lock_of(folder / "busy.safetensors")):
        fetch("c")
    assert sorted(path.name for path in folder.glob("*.part")) == ["busy.safetensors.part", "theirs.part"]
    assert here(tmp_path) == "abc"


def test_what_somebody_uses_now_gives_no_room(made, fetch, tmp_path):
    """Another process may be at work at an unfinished download, or with a copy."""
    for name in "ab":
        fetch(name)
    folder = tmp_path / "models" / "loras"
    part = folder / "busy.safetensors.part"
    part.write_bytes(b"p" * 8192)
    journal_of(part).write_text("{}")
    with locks.alone(lock_of(folder / "busy.safetensors")), pytest.raises(errors.StorageError):
        fetch("c")
    assert here(tmp_path) == "ab"
    part.unlink()
    fetch("c")
    with locks.alone(lock_of(folder / "a.safetensors")):
        fetch("d")
    assert here(tmp_path) == "acd", "the next one made room in its place"


def test_a_newer_version_of_a_copy_replaces_it_in_the_budget(made, fetch, tmp_path, store):
    for name in "abc":
        fetch(name)
    budget = disk_budget.Budget(made.catalogue, made.queued)
    with budget.reserve(tmp_path / "models" / "loras" / "a.safetensors", SIZE, Meter(), print):
        assert here(tmp_path) == "abc", "two others and the new one are within the budget"


def test_the_size_that_counts_is_that_of_the_object_now(made, fetch, tmp_path, store):
    for name in "abc":
        fetch(name)
    store("loras/d.safetensors", b"d" * 4 * SIZE)
    with pytest.raises(errors.StorageError, match=r"it has 4\.0 kB"):
        fetch("d")
    assert here(tmp_path) == "abc"


def test_running_fetches_have_their_room_reserved(made, fetch, tmp_path):
    budget = disk_budget.Budget(made.catalogue, made.queued)
    fetch("a")
    with budget.reserve(tmp_path / "models" / "loras" / "x.safetensors", 2 * SIZE, Meter(), print):
        with budget.reserve(tmp_path / "models" / "loras" / "y.safetensors", SIZE, Meter(), print):
            assert here(tmp_path) == ""
        with (
            pytest.raises(errors.StorageError),
            budget.reserve(tmp_path / "models" / "loras" / "z.safetensors", 2 * SIZE, Meter(), print),
        ):
            pass


def test_the_page_sees_each_copy_and_whether_the_bucket_has_it(made, fetch, tmp_path, cloud, store):
    for name in "abc":
        fetch(name)
    cloud.delete("models/loras/a.safetensors")
    store("loras/b.safetensors", b"new" * 10)
    listed(made.catalogue)
    assert [(copy.name, copy.size, copy.in_bucket) for copy in disk_budget.copies(made.catalogue)] == [
        ("a.safetensors", SIZE, False),
        ("b.safetensors", SIZE, False),
        ("c.safetensors", SIZE, True),
    ]


def test_a_copy_of_another_bucket_is_shown_and_stays(made, fetch, tmp_path):
    from dataclasses import replace

    for name in "abc":
        fetch(name)
    path = tmp_path / "models" / "loras" / "a.safetensors"
    model_record.write(path, replace(model_record.read(path), bucket="another"))
    os.utime(model_record.record_path(path), (1, 1))
    assert disk_budget.copies(made.catalogue)[0].in_bucket is None
    fetch("d")
    assert here(tmp_path) == "acd"
