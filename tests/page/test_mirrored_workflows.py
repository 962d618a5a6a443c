"""A workflow that is saved by the page's menu and, as a file that the mirror sends, by ComfyUI: one key."""

from __future__ import annotations

import hashlib
import json
import os
import time

import pytest
from cloud_storage.comfyui import folders
from cloud_storage.mirror import mirrored_folder, profile_mirror, service
from cloud_storage.system.meter import Meter
from page_requests import WORKFLOWS, content, put

ONE, OTHER = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
KEY = f"{WORKFLOWS}a.json"


@pytest.fixture
def mirrored(cloud, monkeypatch):
    """The mirror of this process, switched on for workflows, looked at by hand."""
    monkeypatch.setenv("COMFY_S3_MIRROR", "workflows")
    monkeypatch.setattr(mirrored_folder, "STILL_SECONDS", 0.0)
    monkeypatch.setattr(profile_mirror, "PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(service, "_mirror", service.Mirror())
    root = folders.system_folder().parent / "default" / "workflows"
    root.mkdir(parents=True)
    service.mirror().look()
    yield root
    service.mirror().close()


@pytest.fixture
def ctrl_s(mirrored):
    """ComfyUI saves a workflow as a file of this machine, and the mirror has had its time."""
    clock = [time.time()]

    def save(text, identity=ONE, name="a.json", seconds=None):
        (mirrored / name).write_bytes(with_id(text, identity).encode())
        clock[0] += 100  # no two saves have one time
        modified = clock[0] if seconds is None else seconds
        os.utime(mirrored / name, (modified, modified))
        settle()

    return save


def settle():
    (folder,) = service.mirror().profiles[0].folders
    for each in folder._watch._folders.values():
        each.modified_ns, each.not_before = -1, 0.0
    for _ in range(500):
        service.mirror().look()
        if not (folder.waiting() or folder.writing()):
            return
        time.sleep(0.01)
    raise AssertionError(service.mirror().state())


def with_id(text, identity=ONE):
    return json.dumps({**json.loads(content(text)), "id": identity})


@pytest.fixture
def menu(save):
    """Save by the page's menu; what the answer says."""

    def by_menu(text, identity=ONE, replaces="", name="a"):
        return save(name, replaces=replaces, content=with_id(text, identity)).json

    return by_menu


def texts(cloud):
    found = {info.key: json.loads(cloud.read(info.key))["extra"]["text"] for info in cloud.list()}
    return {key.removeprefix(WORKFLOWS): text for key, text in found.items()}


def others(cloud):
    """What is beside the object of the name."""
    return [text for name, text in texts(cloud).items() if name != "a.json"]


def test_a_workflow_that_the_menu_has_saved_is_renewed_when_comfyui_saves_it(cloud, menu, ctrl_s):
    menu("first")
    ctrl_s("second")
    assert texts(cloud) == {"a.json": "second"}
    ctrl_s("third")
    assert texts(cloud) == {"a.json": "third"}


def test_saving_by_turns_gives_one_object_and_asks_nothing(cloud, menu, ctrl_s):
    ctrl_s("1")
    said = menu("2")
    assert "version" in said
    ctrl_s("3")
    assert texts(cloud) == {"a.json": "3"}
    assert "version" in menu("4", replaces=said["version"]["etag"])
    ctrl_s("5")
    ctrl_s("6")
    assert "version" in menu("7")
    assert texts(cloud) == {"a.json": "7"}


def test_the_same_content_is_one_object_too(cloud, menu, ctrl_s):
    menu("same")
    ctrl_s("same")
    ctrl_s("later")
    assert texts(cloud) == {"a.json": "later"}


def test_an_older_file_does_not_replace_what_the_menu_has_saved_later(cloud, menu, ctrl_s):
    menu("later")
    ctrl_s("earlier", seconds=time.time() - 1000)
    assert texts(cloud) == {"a.json": "later"}
    ctrl_s("latest")
    assert texts(cloud) == {"a.json": "latest"}


def test_another_workflow_of_the_same_name_takes_no_other_ones_place(cloud, menu, ctrl_s):
    menu("of the menu", identity=ONE)
    ctrl_s("of the file", identity=OTHER)
    assert texts(cloud)["a.json"] == "of the menu"
    assert others(cloud) == ["of the file"]


@pytest.mark.parametrize("identity", ["", "00000000-0000-0000-0000-000000000000", 7, None])
def test_workflows_without_an_id_are_never_the_same(cloud, menu, ctrl_s, identity):
    menu("of the menu", identity=identity)
    ctrl_s("of the file", identity=identity)
    assert texts(cloud)["a.json"] == "of the menu"
    assert others(cloud) == ["of the file"]


def test_what_somebody_else_has_saved_meanwhile_is_left(cloud, menu, ctrl_s):
    menu("mine")
    put(cloud, KEY, data=with_id("theirs").encode())
    ctrl_s("mine, later")
    assert texts(cloud)["a.json"] == "theirs"
    assert others(cloud) == ["mine, later"]


def test_the_menu_asks_before_it_replaces_what_somebody_else_has_saved(cloud, menu, ctrl_s):
    ctrl_s("mine")
    put(cloud, KEY, data=with_id("theirs").encode())
    assert menu("mine, later")["conflict"]["etag"] == cloud.stat(KEY).etag
    assert texts(cloud) == {"a.json": "theirs"}


def test_the_menu_asks_before_it_replaces_what_the_mirror_has_found_there(cloud, menu, ctrl_s):
    data = with_id("of both").encode()
    options = cloud.recording("application/json", hashlib.sha256(data).hexdigest())
    cloud.put(KEY, data, options, Meter())
    ctrl_s("of both")
    assert "conflict" in menu("later")
    assert texts(cloud) == {"a.json": "of both"}


def test_the_menu_asks_before_it_replaces_the_only_copy(cloud, menu, ctrl_s, mirrored):
    ctrl_s("of a file that is gone")
    (mirrored / "a.json").unlink()
    settle()
    assert "conflict" in menu("later")
    assert texts(cloud) == {"a.json": "of a file that is gone"}


def test_the_menu_asks_before_it_replaces_another_workflow_of_this_machine(cloud, menu, ctrl_s):
    ctrl_s("of the file", identity=OTHER)
    assert "conflict" in menu("of the menu", identity=ONE)
    assert texts(cloud) == {"a.json": "of the file"}


def test_the_menu_asks_before_it_replaces_what_another_tab_has_saved(cloud, menu, ctrl_s):
    menu("of another tab")
    ctrl_s("earlier", seconds=time.time() - 1000)  # the journal has the object of the other tab for this file
    assert "conflict" in menu("of this tab")
    assert texts(cloud) == {"a.json": "of another tab"}


def test_without_the_mirror_nothing_is_noted(cloud, menu, comfyui):
    menu("first")
    assert "conflict" in menu("second")
    assert not (folders.system_folder() / "mirror.sqlite").exists()


def test_a_journal_that_fails_keeps_no_workflow_from_the_bucket(cloud, menu, mirrored):
    service.mirror()._journal.close()
    assert "version" in menu("first")
    assert texts(cloud) == {"a.json": "first"}
