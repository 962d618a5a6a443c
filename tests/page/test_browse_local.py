"""What the picker shows of ComfyUI's own folders, over HTTP."""

from __future__ import annotations

import os
from io import BytesIO

import pytest
from cloud_storage.comfyui import uploadable_files
from cloud_storage.page import browse_local
from page_requests import picture
from PIL import Image


@pytest.fixture
def local(tmp_path, comfyui):
    """Files in ComfyUI's folders, and things that nobody may see."""
    for name in (
        *("output/a.png", "output/clips/film.mp4", "output/clips/deep/film2.mp4", "input/in.txt"),
        *("models/loras/l.safetensors", "output/.hidden/x.txt", "output/.env", "outside/secret.txt"),
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture() if name.endswith("png") else name.encode())
    (tmp_path / "output" / "way out").symlink_to(tmp_path / "outside")
    (tmp_path / "output" / "secret.txt").symlink_to(tmp_path / "outside" / "secret.txt")
    (tmp_path / "output" / "clips" / "again").symlink_to(tmp_path / "output")
    return tmp_path


def keys(answer):
    found = [one["key"] for one in answer.json["entries"]]
    return [key for key in found if key.endswith("/")], [key for key in found if not key.endswith("/")]


def test_comfyuis_own_folders_are_listed_as_upload_file_takes_them(local, ask):
    assert keys(ask("local", order="name")) == (["input/", "models/", "output/", "temp/"], [])
    assert keys(ask("local", folder="output/")) == (["output/clips/"], ["output/a.png"])
    folders, files = keys(ask("local", folder="output/clips/"))
    assert (folders, files) == (["output/clips/again/", "output/clips/deep/"], ["output/clips/film.mp4"])
    assert keys(ask("local", search="FILM", order="name"))[1] == [
        "output/clips/deep/film2.mp4",
        "output/clips/film.mp4",
    ]
    assert keys(ask("local", folder="output/", endings=".mp4")) == (["output/clips/"], [])
    (folder, file) = ask("local", folder="output/").json["entries"]
    assert folder["count"] is None
    assert file["size"] == len(picture())
    assert file["modified"].endswith("+00:00")
    for key in ("output/a.png", "output/clips/film.mp4", "models/loras/l.safetensors"):
        assert uploadable_files.chosen(key) == local / key
    assert Image.open(BytesIO(ask("local_thumbnail", key="output/a.png").body)).size == (160, 80)
    assert ask("local_thumbnail", key="input/in.txt").status == 415


def test_a_link_that_leads_to_itself_hides_no_other_file(local, ask):
    (local / "output" / "circle").symlink_to(local / "output" / "circle")
    assert keys(ask("local", folder="output/")) == (["output/clips/"], ["output/a.png"])
    assert "output/a.png" in keys(ask("local", search="a.png"))[1]


def test_a_key_of_the_list_means_that_file_even_where_another_fits_too(local, ask):
    other = local / "output" / "output" / "a.png"
    other.parent.mkdir()
    other.write_bytes(b"another")
    assert "output/a.png" in keys(ask("local", folder="output/"))[1]
    assert uploadable_files.chosen("output/a.png") == local / "output" / "a.png"
    assert uploadable_files.chosen("output/output/a.png") == other


def test_long_local_folders_come_in_windows_and_in_order(local, ask, monkeypatch):
    for number in range(5):
        (local / "temp" / f"{number}.txt").write_bytes(b"x" * number)
        os.utime(local / "temp" / f"{number}.txt", (0, 1000 - number))
    windows = [ask("local", folder="temp/", order="name", start=start, count=2) for start in (0, 2, 4)]
    names = [f"temp/{number}.txt" for number in range(5)]
    assert [key for each in windows for key in keys(each)[1]] == names
    assert len({each.json["version"] for each in windows}) == 1
    assert keys(ask("local", folder="temp/", order="largest"))[1] == names[::-1]
    assert keys(ask("local", folder="temp/"))[1] == names
    assert ask("local", folder="temp/", at="temp/3.txt").json["place"] == 3
    monkeypatch.setattr(browse_local, "MOST_ENTRIES", 3)
    state = ask("local", folder="temp/").json["state"]
    assert (state["count"], state["complete"]) == (3, False)
    assert "more than 3 files" in state["error"]


@pytest.mark.parametrize(
    "folder",
    [
        *("../", "output/../", "output/../outside/", "outside/", "/etc/", "output/way out/"),
        *("output/.hidden/", "user/", "zero\0byte/", "output/zero\0byte/", "output/a.png/"),
        *("x" * 5000 + "/", "output/" + "x" * 5000 + "/"),
    ],
)
def test_no_other_local_folder_is_ever_listed(local, ask, folder):
    for search in ("", "secret"):
        answer = ask("local", folder=folder, search=search)
        assert answer.status in (400, 404), answer.body
        assert b"secret.txt" not in answer.body
    for key in ("outside/secret.txt", "../outside/secret.txt", "output/secret.txt", "/etc/passwd", ".env"):
        assert ask("local_thumbnail", key=key).status == 404
