"""What the Models tab is told, and what it may ask for: over HTTP, from a real bucket."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from cloud_storage.library import service
from cloud_storage.page import models
from cloud_storage.storage.base import PutOptions
from cloud_storage.system.meter import Meter
from conftest import make_place
from models_page import MODELS, arrived, fill, listed, loaders, workflow
from page_requests import OF_ANOTHER_SITE, OURS

INK = {"type": "loras", "name": "style/ink.safetensors"}
GETS = ("names", "catalogue", "copies", "progress")
POSTS = ("workflow", "fetch", "cancel", "dismiss", "refresh")


@pytest.fixture(scope="session")
def fast_place(servers, tmp_path_factory):
    """One bucket: nothing here depends on its protocol."""
    return make_place("ministack-http", servers, tmp_path_factory.mktemp("user") / "profiles.json")


@pytest.fixture(autouse=True)
def library(cloud, monkeypatch):
    """A bucket with models, and loaders."""
    import nodes

    monkeypatch.setattr(nodes, "NODE_CLASS_MAPPINGS", loaders())
    fill(cloud)
    yield listed()
    for fetch in service.fetches().busy():
        fetch.meter.stop()
    arrived()


def local(name, content=b"mine"):
    """A file of the user in ComfyUI's models folder."""
    import folder_paths

    path = Path(folder_paths.models_dir) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def states():
    return {one.name: one.status for one in service.fetches().states()}


# ------------------------------------------------------------ what there is


def test_loaders_are_told_the_names_of_their_types(ask):
    said = ask("models/names").json
    assert said["inputs"]["LoraLoaderModelOnly"] == {"lora_name": ["loras"]}
    assert said["inputs"]["CheckpointLoaderSimple"] == {"ckpt_name": ["checkpoints"]}
    assert "SaveImage" not in said["inputs"]
    assert said["names"]["loras"] == ["paper.safetensors", "style/ink.safetensors"]
    assert said["state"]["mode"] == "offer"


def test_a_library_that_is_off_offers_nothing(ask, monkeypatch):
    monkeypatch.setenv("COMFY_S3_MODELS", "off")
    listed()
    said = ask("models/names").json
    assert (said["inputs"], said["names"], said["state"]["mode"]) == ({}, {}, "off")
    assert ask("models/catalogue").json["models"] == []
    assert ask.post("models/fetch", {"models": [INK]}).status == 404


def test_the_catalogue_comes_in_pages_of_one_listing(ask, monkeypatch):
    local("loras/paper.safetensors")
    monkeypatch.setattr(models, "PAGE_MODELS", 3)
    first = ask("models/catalogue").json
    second = ask("models/catalogue", after=first["following"]).json
    assert (first["total"], first["following"], second["following"]) == (4, 3, None)
    assert first["version"] == second["version"]
    found = [(one["type"], one["name"], one["here"]) for one in first["models"] + second["models"]]
    assert found == [
        ("checkpoints", "base.safetensors", False),
        ("loras", "paper.safetensors", True),
        ("loras", "style/ink.safetensors", False),
        ("vae", "soft.safetensors", False),
    ]
    assert first["models"][0]["size"] == len(MODELS["checkpoints/base.safetensors"])
    listed()
    assert ask("models/catalogue").json["version"] != first["version"]


def test_an_answer_that_is_long_is_compressed(cloud, ask):
    fill(cloud, {f"loras/{number:04}-of-a-long-series-of-loras.safetensors": b"" for number in range(120)})
    listed()
    packed = ask("models/catalogue", headers={**OURS, "Accept-Encoding": "gzip"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert json.loads(gzip.decompress(packed.body)) == ask("models/catalogue").json


def test_a_workflow_s_models_are_here_in_the_bucket_or_missing(ask):
    local("vae/soft.safetensors")
    inner = {"id": "abc", **workflow(("LoraLoaderModelOnly", "style/ink.safetensors"))}
    given = workflow(
        ("VAELoader", "soft.safetensors"),
        ("LoraLoaderModelOnly", "elsewhere/paper.safetensors"),
        ("CheckpointLoaderSimple", "gone.safetensors"),
        ("abc", ""),
        definitions={"subgraphs": [inner]},
    )
    said = ask.post("models/workflow", {"workflow": given}).json
    found = [(one["name"], one["state"], one["matched_by"], one["nodes"]) for one in said["models"]]
    assert found == [
        ("soft.safetensors", "here", "name", ["1"]),
        ("elsewhere/paper.safetensors", "in the bucket", "base name", ["2"]),
        ("gone.safetensors", "missing", "", ["3"]),
        ("style/ink.safetensors", "in the bucket", "name", ["4:1"]),
    ]
    assert said["models"][1]["model"]["name"] == "paper.safetensors"


# ------------------------------------------------------------ downloads


def test_a_model_is_fetched_and_its_copy_is_told(ask, comfyui):
    import folder_paths

    answer = ask.post("models/fetch", {"models": [INK]})
    assert (answer.status, answer.json) == (200, {"started": 1, "refused": []})
    arrived()
    assert (Path(folder_paths.models_dir) / "loras/style/ink.safetensors").read_bytes() == b"ink"
    (fetch,) = ask("models/progress").json["fetches"]
    assert (fetch["name"], fetch["status"], fetch["error"]) == ("style/ink.safetensors", "done", "")
    said = ask("models/copies").json
    (copy,) = said["copies"]
    assert (copy["type"], copy["name"], copy["size"], copy["in_bucket"]) == ("loras", INK["name"], 3, True)
    assert sorted(said["room"]) == ["budget", "free", "keep_free", "used"]
    assert folder_paths.models_dir not in json.dumps(said)
    assert ask.post("models/dismiss", {}).json == {}
    assert ask("models/progress").json["fetches"] == []


def test_a_match_is_stored_under_the_name_that_the_workflow_has_for_it(ask):
    import folder_paths

    ask.post("models/fetch", {"models": [{**INK, "as": "mine/other name.safetensors"}]})
    arrived()
    assert (Path(folder_paths.models_dir) / "loras/mine/other name.safetensors").read_bytes() == b"ink"


def test_a_match_of_another_type_is_stored_where_the_workflow_s_node_looks(ask):
    import folder_paths

    soft = {"type": "vae", "name": "soft.safetensors", "as": "mine.safetensors", "into": "checkpoints"}
    ask.post("models/fetch", {"models": [soft]})
    arrived()
    assert (Path(folder_paths.models_dir) / "checkpoints/mine.safetensors").read_bytes() == b"vae"
    (fetch,) = ask("models/progress").json["fetches"]
    assert (fetch["type"], fetch["name"], fetch["status"]) == ("checkpoints", "mine.safetensors", "done")
    assert fetch["model"] == {"type": "vae", "name": "soft.safetensors"}


@pytest.mark.parametrize("into", ["custom_nodes", "diffusers", "configs", "unknown", "../loras"])
def test_no_file_is_made_in_a_folder_that_does_not_list_such_models(ask, tmp_path, into):
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    ask.post("models/fetch", {"models": [{**INK, "into": into}]})
    arrived()
    (fetch,) = ask("models/progress").json["fetches"]
    assert fetch["status"] == "failed"
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_model_that_left_the_bucket_meanwhile_is_an_error_to_read(ask, cloud):
    cloud.delete("models/loras/style/ink.safetensors")
    ask.post("models/fetch", {"models": [INK]})
    arrived()
    (fetch,) = ask("models/progress").json["fetches"]
    assert fetch["status"] == "failed"
    assert "no longer in the bucket" in fetch["error"]


def test_a_refresh_finds_what_is_new(ask, cloud):
    cloud.put("models/loras/new.safetensors", b"new", PutOptions(), Meter())
    assert ask.post("models/refresh", {}).status == 200
    service.catalogue().wait(Meter())
    assert "new.safetensors" in ask("models/names").json["names"]["loras"]


def test_a_refresh_while_the_bucket_is_listed_begins_no_other(ask, monkeypatch):
    catalogue = service.catalogue()
    monkeypatch.setattr(catalogue, "_is_listing", True)
    monkeypatch.setattr(catalogue, "refresh", lambda: pytest.fail("listed twice"))
    assert ask.post("models/refresh", {}).json["state"]["is_listing"] is True


# ------------------------------------------------------------ who may ask, and for what


@pytest.mark.parametrize("headers", OF_ANOTHER_SITE.values(), ids=OF_ANOTHER_SITE)
def test_a_page_of_another_site_neither_learns_nor_starts_anything(ask, headers):
    for route in GETS:
        answer = ask(f"models/{route}", headers=headers)
        assert (answer.status, list(answer.json)) == (403, ["error"])
    for route in POSTS:
        answer = ask.post(f"models/{route}", {"models": [INK]}, headers)
        assert (answer.status, list(answer.json)) == (403, ["error"])
    assert states() == {}


def test_what_changes_something_is_no_get(ask):
    for route in POSTS:
        assert ask(f"models/{route}").status == 405
    for route in GETS:
        assert ask.post(f"models/{route}", {}).status == 405


@pytest.mark.parametrize(
    "name",
    [
        "unknown.safetensors",
        "../loras/style/ink.safetensors",
        "style/../style/ink.safetensors",
        "/style/ink.safetensors",
        "models/loras/style/ink.safetensors",
        "",
        "style/ink.safetensors\x00",
    ],
)
def test_what_the_catalogue_does_not_have_is_not_fetched(ask, name):
    answer = ask.post("models/fetch", {"models": [{"type": "loras", "name": name}]})
    assert (answer.status, answer.json["kind"]) == (404, "NotFound")
    assert states() == {}


def test_of_several_the_known_ones_are_fetched_and_the_others_named(ask):
    said = ask.post("models/fetch", {"models": [INK, {"type": "loras", "name": "gone.safetensors"}]}).json
    assert said["started"] == 1
    assert [one["name"] for one in said["refused"]] == ["gone.safetensors"]
    assert "gone.safetensors" in said["refused"][0]["error"]


@pytest.mark.parametrize(
    "name",
    [
        "../../outside.safetensors",
        "a/../../../outside.safetensors",
        "/outside.safetensors",
        "C:\\outside.safetensors",
        "..\\outside.safetensors",
        ".hidden.safetensors",
        "outside.py",
        "outside",
        "a\x00.safetensors",
    ],
)
def test_no_file_is_made_outside_of_the_type_s_folders_or_of_another_kind(ask, tmp_path, name):
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    ask.post("models/fetch", {"models": [{**INK, "as": name}]})
    arrived()
    (fetch,) = ask("models/progress").json["fetches"]
    assert fetch["status"] == "failed"
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_request_that_makes_no_sense_is_refused(ask):
    many = [INK] * (models.AT_ONCE + 1)
    for said in (
        *(b"", b"no json", b"[]", b"\xff", b"[" * 100_000, {"models": []}, {"models": many}),
        *({"models": "x"}, {"models": ["x"]}, {"models": [{"type": 1, "name": "x"}]}),
        {"models": [{"type": "loras", "name": "x" * 5000}]},
    ):
        answer = ask.post("models/fetch", said)
        assert (answer.status, answer.json["kind"]) == (400, "ConfigurationError"), said
    for said in ({}, {"workflow": []}):
        assert ask.post("models/workflow", said).status == 400
    for after in ("-1", "x", "1" * 30, "²"):
        assert ask("models/catalogue", after=after).status == 400
    assert states() == {}


def test_a_flood_of_requests_starts_no_more_than_may_wait(ask, monkeypatch):
    monkeypatch.setattr(models, "BUSY", 1)
    answer = ask.post("models/fetch", {"models": [INK, {"type": "vae", "name": "soft.safetensors"}]})
    assert (answer.status, answer.json["kind"]) == (503, "Throttled")
    assert states() == {}


def test_a_second_request_for_a_file_joins_the_first(ask):
    for _ in range(3):
        assert ask.post("models/fetch", {"models": [INK, INK]}).status == 200
    arrived()
    assert states() == {"style/ink.safetensors": "done"}


def test_no_secret_is_in_any_answer(ask, fast_place, tmp_path):
    ask.post("models/fetch", {"models": [INK]})
    arrived()
    for route in GETS:
        body = ask(f"models/{route}").body.decode()
        assert str(tmp_path) not in body
        assert fast_place.secret not in body
        assert fast_place.environ["COMFY_S3_ACCESS_KEY"] not in body
