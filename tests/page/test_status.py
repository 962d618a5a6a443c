"""What the settings panel is told of the server."""

from __future__ import annotations

import pytest
from cloud_storage.comfyui import folders
from cloud_storage.page import thumbnails
from page_requests import OF_ANOTHER_SITE, OURS


def test_the_version_and_the_models_mode_are_told_and_no_secret(cloud, ask, fast_place, monkeypatch):
    monkeypatch.setenv("COMFY_S3_MODELS", "offer")
    answer = ask("status")
    assert (answer.status, answer.json["models"], answer.json["error"]) == (200, "offer", "")
    assert answer.json["version"].count(".") == 2
    assert answer.json["address"] == "", "until somebody publishes the package"
    for word in (fast_place.secret, fast_place.environ["COMFY_S3_ACCESS_KEY"]):
        assert word not in answer.body.decode()


def test_settings_that_are_wrong_are_told_in_words(cloud, ask, monkeypatch):
    monkeypatch.setenv("COMFY_S3_MODELS", "perhaps")
    answer = ask("status")
    assert answer.status == 200
    assert "COMFY_S3_MODELS" in answer.json["error"]
    assert answer.json["version"]


def test_the_mirrors_profiles_and_folders_are_told(cloud, ask, monkeypatch):
    assert ask("status").json["mirror"] == []
    monkeypatch.setenv("COMFY_S3_MIRROR", "output, workflows")
    assert ask("status").json["mirror"] == [{"name": "(env vars)", "folders": ["output", "workflows"]}]
    monkeypatch.setenv("COMFY_S3_MIRROR", "everything")
    said = ask("status").json
    assert said["mirror"] == []
    assert any("everything" in error for error in said["mirror_errors"])


def test_the_cache_is_measured_and_cleared_and_nothing_else_is_removed(cloud, ask):
    folder = folders.temp_folder()
    (folder / "object-0-0.png").write_bytes(b"12345")
    (folder / "other.png").write_bytes(b"123")
    thumbnails._kept["a", "b", "c"] = b"1234567"
    before = ask("status").json
    assert before["cached"] == 5 + sum(map(len, thumbnails._kept.values()))
    assert before["cached_max"] > before["cached"]
    answer = ask.post("cache/clear", {})
    assert (answer.status, answer.json["cached"]) == (200, 0)
    assert [path.name for path in folder.iterdir()] == ["other.png"]
    assert ask("status").json["cached"] == 0


def test_a_page_of_another_site_clears_nothing(comfyui, ask):
    copy = folders.temp_folder() / "object-0-0.png"
    copy.write_bytes(b"1")
    for headers in OF_ANOTHER_SITE.values():
        assert ask.post("cache/clear", {}, headers=headers).status == 403
    assert ask("cache/clear").status in (404, 405)
    assert copy.exists()


@pytest.mark.parametrize(
    "headers", [{}, {**OURS, "Origin": "https://example.org"}], ids=["none", "another site"]
)
def test_a_page_of_another_site_is_told_nothing(comfyui, ask, headers):
    answer = ask("status", headers=headers)
    assert answer.status == 403
    assert list(answer.json) == ["error"]
