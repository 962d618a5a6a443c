"""What the settings panel is told of the server."""

from __future__ import annotations

import pytest
from page_requests import OURS


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


@pytest.mark.parametrize(
    "headers", [{}, {**OURS, "Origin": "https://example.org"}], ids=["none", "another site"]
)
def test_a_page_of_another_site_is_told_nothing(comfyui, ask, headers):
    answer = ask("status", headers=headers)
    assert answer.status == 403
    assert list(answer.json) == ["error"]
