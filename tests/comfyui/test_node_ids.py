from __future__ import annotations

import asyncio

import nodes
import pytest
from aiohttp import web
from cloud_storage.comfyui import node_ids

FOLDER = "comfyui-cloud-storage"


class Ours:
    RELATIVE_PYTHON_MODULE = f"custom_nodes.{FOLDER}"


class Theirs:
    RELATIVE_PYTHON_MODULE = "custom_nodes.another"


class Unhelpful:
    def __getattribute__(self, name):
        raise ValueError(name)


OURS = {"SaveImageToCloud": Ours, "LoadImageFromCloud": Ours}


@pytest.fixture
def registered(comfyui, monkeypatch):
    monkeypatch.setattr(nodes, "NODE_CLASS_MAPPINGS", {"KSampler": Theirs})
    return nodes.NODE_CLASS_MAPPINGS


def started(comfyui):
    async def start():
        runner = web.AppRunner(comfyui.app)
        await runner.setup()
        await runner.cleanup()

    asyncio.run(start())


def test_nothing_is_said_where_the_ids_are_ours_alone(comfyui, registered, caplog):
    node_ids.warn_of_others(OURS, FOLDER)
    registered.update(OURS)
    started(comfyui)
    assert caplog.text == ""


def test_a_folder_that_was_loaded_before_us_is_named_once(comfyui, registered, caplog):
    registered.update(dict.fromkeys(OURS, Theirs))
    node_ids.warn_of_others(OURS, FOLDER)
    registered.update(OURS)
    started(comfyui)
    (line,) = caplog.messages
    assert line.startswith("custom_nodes.another also has the nodes SaveImageToCloud, LoadImageFromCloud.")
    assert "uses those of this package" in line


def test_a_folder_that_was_loaded_after_us_is_named_when_the_server_starts(comfyui, registered, caplog):
    node_ids.warn_of_others(OURS, FOLDER)
    registered.update({**OURS, "LoadImageFromCloud": Theirs})
    assert caplog.text == ""
    started(comfyui)
    (line,) = caplog.messages
    assert line.startswith("custom_nodes.another also has the nodes LoadImageFromCloud.")
    assert "uses those of the other folder" in line
    assert registered["LoadImageFromCloud"] is Theirs


def test_our_own_folder_loaded_again_is_no_other(comfyui, registered, caplog):
    registered.update(dict.fromkeys(OURS, type("Earlier", (Ours,), {})))
    node_ids.warn_of_others(OURS, FOLDER)
    assert caplog.text == ""


def test_a_strange_registry_or_none_at_all_raises_nothing(comfyui, registered, monkeypatch):
    registered["SaveImageToCloud"] = Unhelpful()
    node_ids.warn_of_others(OURS, FOLDER)
    started(comfyui)
    monkeypatch.delattr(nodes, "NODE_CLASS_MAPPINGS")
    monkeypatch.delattr(comfyui, "app")
    node_ids.warn_of_others(OURS, FOLDER)
