"""Upload File: from ComfyUI's folders or a wire of VideoHelperSuite into the bucket."""

from __future__ import annotations

import hashlib

import pytest
from cloud_storage import errors, nodes_files
from cloud_storage.saving import choices
from conftest import of_a_list, outputs_of

DATA = b"a film" * 1000


@pytest.fixture
def film(comfyui, tmp_path):
    path = tmp_path / "output" / "clips" / "film_00001.mp4"
    path.parent.mkdir()
    path.write_bytes(DATA)
    return path


def test_a_file_becomes_an_object_of_its_name_and_type(cloud, film):
    urls, keys = outputs_of("UploadFileToCloud", file="clips/film_00001.mp4")
    assert keys == ["comfyui/files/film_00001.mp4"]
    assert urls == cloud.url(keys[0])
    assert cloud.read(keys[0]) == DATA
    assert cloud.stat(keys[0]).content_type == "video/mp4"
    assert cloud.stat(keys[0]).sha256 == hashlib.sha256(DATA).hexdigest()


def test_a_wire_of_videohelpersuite_brings_its_finished_video(cloud, film, tmp_path):
    frame = tmp_path / "output" / "clips" / "film_00001.png"
    frame.write_bytes(b"its first frame")
    _, keys = outputs_of("UploadFileToCloud", file=(True, [str(frame), str(film)]), filename="cut_%uuid%")
    assert len(keys) == 1
    assert keys[0].startswith("comfyui/files/cut_")
    assert keys[0].endswith(".mp4")
    assert cloud.read(keys[0]) == DATA


def test_the_same_content_is_not_sent_again_and_other_content_gets_a_new_name(cloud, film, comfyui):
    assert [outputs_of("UploadFileToCloud", file=str(film), unique_id="7")[1] for _ in range(2)] == [
        ["comfyui/files/film_00001.mp4"]
    ] * 2
    assert "Nothing was sent" in comfyui.texts[-1][0]
    film.write_bytes(DATA[::-1])
    assert outputs_of("UploadFileToCloud", file=str(film))[1] == ["comfyui/files/film_00001_00002.mp4"]


def test_a_file_that_is_skipped_is_not_called_saved(cloud, film, comfyui):
    outputs_of("UploadFileToCloud", file=str(film))
    film.write_bytes(DATA[::-1])
    _, keys = outputs_of("UploadFileToCloud", file=str(film), if_exists=choices.SKIP, unique_id="7")
    assert cloud.read(keys[0]) == DATA
    assert comfyui.texts[-1][0] == f"{keys[0]} is there already, with other content. Nothing was sent."


@pytest.mark.parametrize(
    ("if_exists", "second"),
    [(choices.OVERWRITE, "a_1"), (choices.SKIP, "a_1"), (choices.NEW_NAME, "a_00002")],
)
def test_no_file_of_a_list_replaces_another(cloud, film, if_exists, second):
    other = film.with_name("other.mp4")
    other.write_bytes(DATA[::-1])
    items = [{"file": str(file), "filename": "a", "if_exists": if_exists} for file in (film, other)]
    keys = [found["result"][1][0] for found in of_a_list("UploadFileToCloud", items)]
    assert keys == ["comfyui/files/a.mp4", f"comfyui/files/{second}.mp4"]
    assert [cloud.read(key) for key in keys] == [DATA, DATA[::-1]]


def test_what_lies_elsewhere_is_never_sent(cloud, comfyui, tmp_path):
    profiles = tmp_path / "user" / "__cloud_storage" / "profiles.json"
    profiles.parent.mkdir()
    profiles.write_text('{"profiles": {}}')
    (tmp_path / "output" / "innocent.txt").symlink_to(profiles)
    (tmp_path / "output" / ".env").write_text("secret")
    (tmp_path / "output" / "circle").symlink_to("circle")
    for file in (
        "/etc/passwd",
        str(profiles),
        "innocent.txt",
        ".env",
        "../user/__cloud_storage/profiles.json",
        "zero\0byte.png",
        "x" * 5000,
        "circle",
    ):
        with pytest.raises(errors.NotFound):
            outputs_of("UploadFileToCloud", file=file)
    assert list(cloud.list()) == []


def test_links_are_what_is_asked_for(cloud, film):
    assert outputs_of("UploadFileToCloud", file=str(film), link="none")[0] == ""
    assert "ignature" in outputs_of("UploadFileToCloud", file=str(film), link="presigned")[0]


def test_is_changed_follows_the_file(film):
    before = nodes_files.UploadFileToCloud.IS_CHANGED(file=str(film))
    assert nodes_files.UploadFileToCloud.IS_CHANGED(file=str(film)) == before
    film.write_bytes(b"another film")
    assert nodes_files.UploadFileToCloud.IS_CHANGED(file=str(film)) != before


def test_is_changed_follows_the_files_that_a_wire_brings(cloud, film):
    def changed():
        return nodes_files.UploadFileToCloud.IS_CHANGED(file=None, unique_id="9")

    other = film.with_name("other.mp4")
    other.write_bytes(b"other")
    first = changed()
    of_a_list("UploadFileToCloud", [{"file": str(film)}, {"file": str(other)}])
    assert changed() == first
    film.write_bytes(b"another film")
    second = changed()
    assert second != first
    assert changed() == second
    other.unlink()
    assert changed() != second
