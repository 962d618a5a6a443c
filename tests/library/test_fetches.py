"""One fetch for each file, whoever asks; what ends it, and what it says."""

from __future__ import annotations

import contextlib
import threading
from types import SimpleNamespace

import pytest
from cloud_storage import errors
from cloud_storage.library.catalogue import Model
from cloud_storage.library.fetches import CANCELLED, DONE, FAILED, RUNNING, WAITING
from cloud_storage.loading import model_record
from cloud_storage.loading.model_file import Wanted
from cloud_storage.system.meter import Meter


@pytest.fixture
def made(library, store):
    store("loras/style/ink.safetensors", b"ink" * 100)
    return library()


def model(made, name="style/ink.safetensors"):
    return made.catalogue.find("loras", name)


def test_a_file_arrives_with_its_record_below_its_own_name(made, tmp_path):
    fetch = made.fetches.start(model(made))
    made.fetches.wait(fetch, Meter())
    path = tmp_path / "models" / "loras" / "style" / "ink.safetensors"
    assert path.read_bytes() == b"ink" * 100
    assert model_record.read(path).key.endswith("models/loras/style/ink.safetensors")
    (state,) = made.fetches.states()
    assert (state.status, state.done, state.total, state.error) == (DONE, 300, 300, "")
    made.fetches.dismiss()
    assert not made.fetches.states()


def test_a_file_can_arrive_under_the_name_that_a_workflow_has(made, tmp_path):
    made.fetches.wait(made.fetches.start(model(made), "ink.safetensors"), Meter())
    assert (tmp_path / "models" / "loras" / "ink.safetensors").read_bytes() == b"ink" * 100


def test_a_file_can_arrive_in_the_folder_of_another_type_that_lists_it(made, tmp_path, monkeypatch):
    import folder_paths

    own = ([str(tmp_path / "elsewhere" / "loras")], {".safetensors"})
    types = {**folder_paths.folder_names_and_paths, "my_loras": own}
    monkeypatch.setattr(folder_paths, "folder_names_and_paths", types)
    made.catalogue.refresh()
    made.catalogue.wait(Meter())
    found = made.catalogue.find("my_loras", "style/ink.safetensors")
    assert found.folder_type == "loras"
    fetch = made.fetches.start(found, folder_type="my_loras", for_page=False)
    assert made.fetches.running("my_loras", "style\\ink.safetensors") is fetch
    made.fetches.cancel_all_but({("my_loras", "style/ink.safetensors")})
    made.fetches.wait(fetch, Meter())
    assert (tmp_path / "elsewhere" / "loras" / "style" / "ink.safetensors").exists()


def test_all_who_want_a_file_share_one_fetch(made, monkeypatch):
    from cloud_storage.library import fetches

    goes_on = threading.Event()
    calls = []

    def slow(*given):
        calls.append(given)
        goes_on.wait(30)
        return original(*given)

    original = fetches.model_file.fetch
    monkeypatch.setattr(fetches.model_file, "fetch", slow)
    first = made.fetches.start(model(made), for_page=False)
    assert made.fetches.start(model(made)) is first
    assert made.fetches.start(model(made), "style\\ink.safetensors") is first
    waiting = [threading.Thread(target=made.fetches.wait, args=(first, Meter())) for _ in range(3)]
    for thread in waiting:
        thread.start()
    goes_on.set()
    for thread in waiting:
        thread.join(30)
    assert len(calls) == 1
    assert first.status == DONE


def test_a_local_file_that_has_appeared_meanwhile_is_what_counts(made, tmp_path):
    path = tmp_path / "models" / "loras" / "style" / "ink.safetensors"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"mine")
    made.fetches.wait(made.fetches.start(model(made)), Meter())
    assert path.read_bytes() == b"mine"
    assert model_record.read(path) is None


def test_a_model_that_has_left_the_bucket_is_a_clear_error_and_the_list_is_made_anew(made, cloud):
    cloud.delete("models/loras/style/ink.safetensors")
    fetch = made.fetches.start(model(made))
    with pytest.raises(errors.NotFound, match="it is no longer in the bucket"):
        made.fetches.wait(fetch, Meter())
    made.catalogue.wait(Meter())
    assert model(made) is None
    assert [state.status for state in made.fetches.states()] == [FAILED]


def test_an_error_of_the_disk_is_in_words(made, tmp_path):
    (tmp_path / "models" / "loras").write_text("a file in place of the folder")
    fetch = made.fetches.start(model(made))
    with pytest.raises(errors.StorageError, match="Check the disk"):
        made.fetches.wait(fetch, Meter())


def test_what_is_read_only_is_passed_over_and_named(made, tmp_path, monkeypatch):
    import folder_paths

    first = tmp_path / "read-only"
    first.write_text("no folder can be made here")
    types = dict(folder_paths.folder_names_and_paths)
    types["loras"] = ([str(first / "loras"), *types["loras"][0]], types["loras"][1])
    monkeypatch.setattr(folder_paths, "folder_names_and_paths", types)
    fetch = made.fetches.start(model(made))
    made.fetches.wait(fetch, Meter())
    assert (tmp_path / "models" / "loras" / "style" / "ink.safetensors").exists()
    assert str(first / "loras") in fetch.text
    assert "read-only" in fetch.text


@pytest.fixture
def held(made, store, monkeypatch):
    """Fetches of a library, whose downloads wait until they are stopped or let go."""
    from cloud_storage.library import fetches

    started, goes_on = threading.Semaphore(0), threading.Event()

    def download(storage, wanted, meter, say, room):
        meter.expect(100)
        meter.add(40)
        started.release()
        condition = threading.Condition()
        with condition, meter.wakes(condition):
            condition.wait_for(lambda: meter.stopped or goes_on.is_set(), 30)
        meter.check()

    monkeypatch.setattr(fetches.model_file, "fetch", download)
    for number in range(5):
        store(f"loras/{number}.safetensors")
    made.catalogue.refresh()
    made.catalogue.wait(Meter())
    yield SimpleNamespace(fetches=made.fetches, catalogue=made.catalogue, started=started)
    goes_on.set()


def test_cancel_ends_a_fetch_and_a_second_start_begins_again(held):
    fetch = held.fetches.start(model(held))
    held.started.acquire()
    assert held.fetches.states()[0].status == RUNNING
    assert held.fetches.states()[0].done == 40
    assert held.fetches.cancel("loras", "style/ink.safetensors")
    with pytest.raises(errors.TransferCancelled):
        held.fetches.wait(fetch, Meter())
    assert held.fetches.states()[0].status == CANCELLED
    assert not held.fetches.cancel("loras", "style/ink.safetensors")
    assert held.fetches.start(model(held)) is not fetch
    assert len(held.fetches.states()) == 1, "the earlier one is forgotten"


def test_a_fetch_that_is_ending_is_not_joined(held):
    first = held.fetches.start(model(held), for_page=False)
    held.started.acquire()
    with held.fetches._changed:  # it cannot end meanwhile
        held.fetches.cancel_all_but(set())
        second = held.fetches.start(model(held))
    assert second is not first
    held.started.acquire()
    with pytest.raises(errors.TransferCancelled):
        held.fetches.wait(first, Meter())
    assert held.fetches.running("loras", "style/ink.safetensors") is second
    assert not second.meter.stopped


def test_a_node_that_stops_waiting_does_not_end_the_fetch(held):
    fetch = held.fetches.start(model(held), for_page=False)
    meter = Meter()
    meter.stop()
    with pytest.raises(errors.TransferCancelled):
        held.fetches.wait(fetch, meter)
    assert not fetch.has_ended
    held.fetches.cancel_all_but({("loras", "style/ink.safetensors")})
    assert not fetch.meter.stopped
    held.fetches.cancel_all_but(set())
    assert fetch.meter.stopped


def test_what_the_page_began_goes_on_when_no_prompt_wants_it(held):
    fetch = held.fetches.start(model(held), for_page=False)
    held.fetches.start(model(held))
    held.fetches.cancel_all_but(set())
    assert not fetch.meter.stopped


def test_a_few_run_at_a_time_in_order_and_a_node_does_not_wait_for_its_turn(held):
    fetches = [held.fetches.start(model(held, f"{number}.safetensors")) for number in range(5)]
    for _ in range(3):
        held.started.acquire()
    assert [fetch.status for fetch in fetches] == [RUNNING] * 3 + [WAITING] * 2
    meter = Meter()
    waiting = threading.Thread(target=_quietly, args=(held.fetches.wait, fetches[4], meter))
    waiting.start()
    held.started.acquire()
    assert [fetch.status for fetch in fetches] == [RUNNING] * 3 + [WAITING, RUNNING]
    meter.stop()
    waiting.join(30)
    held.fetches.cancel("loras", "0.safetensors")
    held.fetches.cancel("loras", "4.safetensors")
    held.started.acquire()
    assert fetches[3].status == RUNNING


def _quietly(call, *given):
    with contextlib.suppress(errors.TransferCancelled):
        call(*given)


def test_arrivals_are_counted_so_that_a_loaded_model_is_known_to_be_current(made, tmp_path):
    name = "style/ink.safetensors"
    assert made.fetches.arrivals("loras", name) == 1, "it will have arrived once"
    made.fetches.wait(made.fetches.start(model(made)), Meter())
    assert made.fetches.arrivals("loras", name) == 1
    (tmp_path / "models" / "loras" / "style" / "ink.safetensors").unlink()
    assert made.fetches.arrivals("loras", name) == 2, "what was loaded is loaded again"
    made.fetches.wait(made.fetches.start(model(made)), Meter())
    assert made.fetches.arrivals("loras", name) == 2
    assert made.fetches.arrivals("loras", "never.safetensors") == 1


@pytest.fixture
def downloaded(made, tmp_path, cloud, monkeypatch):
    """``downloaded(key, name)`` downloads an object for a node, in this thread; it gives what is shown while
    its bytes move, and what the node says.
    """

    seen = []
    stream = type(cloud).stream

    def streamed(storage, *given):
        seen.extend(made.fetches.states())
        return stream(storage, *given)

    monkeypatch.setattr(type(cloud), "stream", streamed)

    def download(key, name, **wanted):
        seen.clear()
        target = tmp_path / "models" / "loras" / name
        one = Model("loras", name, key, 0, "", None, None, "")
        found, besides = made.fetches.for_node(cloud, Wanted(key, target, **wanted), one, Meter(), print)
        return list(seen), f"{found.status} {besides}".strip()

    return download


def test_what_a_node_downloads_is_in_the_list_while_its_bytes_move(made, downloaded, store):
    store("elsewhere/a.safetensors", b"a" * 100)
    seen, said = downloaded("models/elsewhere/a.safetensors", "new/a.safetensors")
    assert said == "Downloaded a.safetensors."
    assert {(one.name, one.status, one.model) for one in seen} == {("new/a.safetensors", RUNNING, None)}
    (state,) = made.fetches.states()
    assert (state.status, state.done, state.total) == (DONE, 100, 100)
    made.fetches.dismiss()
    _, said = downloaded("models/elsewhere/a.safetensors", "new/a.safetensors")
    assert said.startswith("Unchanged")
    assert not made.fetches.states(), "no byte has moved"


def test_the_page_can_cancel_what_a_node_downloads(made, downloaded, cloud, monkeypatch):
    from cloud_storage.library import fetches

    def download(storage, info, part, digest, meter):
        assert made.fetches.cancel("loras", "new.safetensors")
        meter.check()

    monkeypatch.setattr(fetches.model_file.resumable_download, "download", download)
    with pytest.raises(errors.TransferCancelled):
        downloaded("models/loras/style/ink.safetensors", "new.safetensors")
    assert [state.status for state in made.fetches.states()] == [CANCELLED]
    assert not made.fetches.cancel("loras", "new.safetensors")


def test_a_model_that_a_node_replaces_counts_as_arrived_once_more(made, downloaded):
    name = "style/ink.safetensors"
    downloaded(f"models/loras/{name}", name)
    assert made.fetches.arrivals("loras", name) == 1
    downloaded(f"models/loras/{name}", name, force=True)
    assert made.fetches.arrivals("loras", name) == 2


def test_a_profile_that_is_gone_is_an_error(made, monkeypatch):
    wanted = model(made)
    monkeypatch.setenv("COMFY_S3_MODELS", "off")
    made.catalogue.refresh()
    made.catalogue.wait(Meter())
    with pytest.raises(errors.NotFound, match="there is no profile"):
        made.fetches.wait(made.fetches.start(wanted), Meter())
