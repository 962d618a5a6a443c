"""Workflows in the bucket, on real servers: never over a version that nobody has seen."""

from __future__ import annotations

import json
import threading

import pytest
from cloud_storage.page import workflows
from conftest import make_place
from page_requests import WORKFLOWS, content, put


@pytest.fixture(scope="session", params=("ministack-http", "oss-http", "ceph-http"))
def fast_place(request, servers, tmp_path_factory):
    """Ceph's gateway too: it compares ETags in a way of its own."""
    return make_place(request.param, servers, tmp_path_factory.mktemp("user") / "profiles.json")


def test_the_version_that_was_opened_is_replaced_and_no_other(cloud, ask, save):
    first = save(text="first").json["version"]
    second = save(text="second", replaces=first["etag"]).json["version"]
    assert second["etag"] != first["etag"]
    answer = save(text="mine", replaces=first["etag"])
    assert (answer.status, answer.json["conflict"]["etag"]) == (200, second["etag"])
    assert "version" not in answer.json
    assert cloud.read(f"{WORKFLOWS}a.json") == content("second").encode()
    third = save(text="mine", replaces=answer.json["conflict"]["etag"]).json
    assert third["version"]["etag"] == cloud.stat(f"{WORKFLOWS}a.json").etag
    assert cloud.read(f"{WORKFLOWS}a.json") == content("mine").encode()


def test_a_new_name_takes_no_other_ones_place(cloud, save, monkeypatch):
    monkeypatch.setattr(workflows.platform, "node", lambda: "theirs")
    theirs = save(text="theirs").json["version"]
    monkeypatch.setattr(workflows.platform, "node", lambda: "mine")
    conflict = save(text="mine").json["conflict"]
    assert (conflict["etag"], conflict["saved_on"]) == (theirs["etag"], "theirs")
    assert conflict["modified"]
    assert cloud.read(f"{WORKFLOWS}a.json") == content("theirs").encode()


def test_what_was_deleted_meanwhile_is_a_conflict_too(cloud, save):
    first = save(text="first").json["version"]
    cloud.delete(f"{WORKFLOWS}a.json")
    assert save(text="second", replaces=first["etag"]).json["conflict"] is None
    assert list(cloud.list()) == []


def test_of_many_that_save_at_once_one_wins_and_the_others_see_it(cloud, ask, save):
    first = save(text="first").json["version"]["etag"]
    outcomes = []
    threads = [
        threading.Thread(
            target=lambda text=f"{n}": outcomes.append((text, save(text=text, replaces=first).json))
        )
        for n in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    won = [text for text, said in outcomes if "version" in said]
    there = json.loads(cloud.read(f"{WORKFLOWS}a.json"))["extra"]["text"]
    if ask("workflows/list").json["is_certain"]:
        assert won == [there]
    else:  # between the check and the write
        assert there in won


def test_a_save_whose_answer_was_lost_is_no_conflict(save):
    first = save(text="same").json["version"]
    assert save(text="same").json["version"]["etag"] == first["etag"]
    assert save(text="same", replaces="of-another-version").json["version"]["etag"] == first["etag"]


def test_what_was_written_by_another_program_is_a_conflict_without_a_machine(cloud, save):
    put(cloud, f"{WORKFLOWS}a.json", data=content("theirs").encode())
    conflict = save(text="mine").json["conflict"]
    assert conflict["saved_on"] == ""
    assert conflict["etag"] == cloud.stat(f"{WORKFLOWS}a.json").etag


def test_what_is_replaced_while_it_is_opened_is_not_taken_for_the_version_before(
    cloud, ask, save, monkeypatch
):
    save(text="first")
    described, replaced = type(cloud).stat, []

    def late(self, key):
        info = described(self, key)
        if not replaced:
            replaced.append(key)
            put(self, key, data=content("second").encode())
        return info

    monkeypatch.setattr(type(cloud), "stat", late)
    answer = ask("workflows/read", key=f"{WORKFLOWS}a.json")
    assert (answer.status, answer.json["kind"]) == (409, "Changed")
