"""What the page is told about the mirror, and what it may ask for: over HTTP."""

from __future__ import annotations

import pytest
from cloud_storage.mirror import mirrored_folder, service
from conftest import make_place
from mirror_looks import look_until
from page_requests import OF_ANOTHER_SITE


@pytest.fixture(scope="session")
def fast_place(servers, tmp_path_factory):
    """One bucket: nothing here depends on its protocol."""
    return make_place("ministack-http", servers, tmp_path_factory.mktemp("user") / "profiles.json")


@pytest.fixture
def mirror(cloud, monkeypatch):
    """The mirror of the process, switched on for output; a test looks by itself."""
    monkeypatch.setenv("COMFY_S3_MIRROR", "output")
    monkeypatch.setattr(mirrored_folder, "STILL_SECONDS", 0.0)
    found = service.Mirror()
    monkeypatch.setattr(service, "_mirror", found)
    yield found
    found.close()


def test_a_page_sees_what_waits_and_what_is_stored(mirror, ask, tmp_path, fast_place):
    assert ask("mirror/state").json["on"] is False
    mirror.look()
    state = ask("mirror/state").json
    (profile,) = state["profiles"]
    assert (state["on"], state["waiting"], profile["bucket"]) == (True, 0, fast_place.bucket)
    assert profile["folders"] == [{"name": "output", "files": 0, "note": ""}]
    (tmp_path / "output" / "sub").mkdir()
    (tmp_path / "output" / "sub" / "a.png").write_bytes(b"made")
    look_until(mirror, lambda: ask("mirror/state").json["profiles"][0]["stored"])
    assert ask("mirror/state").json["waiting"] == 0


def test_what_failed_is_named_and_tried_again_when_the_page_asks(
    mirror, ask, tmp_path, fast_place, monkeypatch
):
    monkeypatch.setenv("COMFY_S3_SECRET_KEY", "wrong-secret-that-nobody-may-see")
    mirror.look()
    (tmp_path / "output" / "a.png").write_bytes(b"made")
    look_until(mirror, lambda: ask("mirror/state").json["failing"])
    text = ask("mirror/state").body.decode()
    assert "secret key" in text
    assert "wrong-secret" not in text
    (profile,) = ask("mirror/state").json["profiles"]
    assert profile["retry_in"] > 0
    (file,) = profile["files"]
    assert (file["name"], file["key"], file["status"]) == (
        "output/a.png",
        "comfyui/output/a.png",
        "waiting",
    )
    monkeypatch.setenv("COMFY_S3_SECRET_KEY", fast_place.secret)
    assert ask.post("mirror/retry", {}).status == 200
    look_until(mirror, lambda: not ask("mirror/state").json["waiting"])
    assert not ask("mirror/state").json["failing"]


@pytest.mark.parametrize("headers", OF_ANOTHER_SITE.values(), ids=OF_ANOTHER_SITE)
def test_other_sites_see_nothing_and_retry_nothing(mirror, ask, headers):
    assert ask("mirror/state", headers=headers).status == 403
    assert ask.post("mirror/retry", {}, headers=headers).status == 403


def test_a_get_does_not_retry(mirror, ask):
    assert ask("mirror/retry").status == 405
