"""Upload File: from ComfyUI's folders or a wire into the bucket; and Download File, its reverse."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from cloud_storage import errors, nodes_files
from cloud_storage.saving import choices
from cloud_storage.storage.base import PutOptions
from cloud_storage.system.meter import Meter
from conftest import lines_of, of_a_list, outputs_of, run_node
from result_lists import files_of

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


def put(cloud, key, content):
    return cloud.put(key, content, PutOptions(), Meter())


def test_a_file_comes_back_where_the_user_wants_it(cloud, film, tmp_path):
    _, (key,) = outputs_of("UploadFileToCloud", file=str(film))
    path, name = outputs_of("DownloadFileFromCloud", key=key, folder="output", subfolder="new/films")
    assert (path, name) == (
        str(tmp_path / "output" / "new" / "films" / "film_00001.mp4"),
        "new/films/film_00001.mp4",
    )
    assert Path(path).read_bytes() == DATA
    path, name = outputs_of("DownloadFileFromCloud", key=key, filename="cut")
    assert (path, name) == (str(tmp_path / "input" / "cut.mp4"), "cut.mp4")


def test_it_is_downloaded_once_and_programs_are_told(cloud, film):
    _, (key,) = outputs_of("UploadFileToCloud", file=str(film))
    done = [run_node("DownloadFileFromCloud", key=key) for _ in range(2)]
    assert [files_of(each)[0]["status"] for each in done] == ["fetched", "unchanged"]
    (file,) = files_of(done[1])
    assert (file["key"], file["size"]) == (key, len(DATA))
    assert file["sha256"] == hashlib.sha256(DATA).hexdigest()
    assert lines_of(done[1]) == ["film_00001.mp4 is there already, unchanged."]


def test_a_file_of_somebody_else_is_kept_or_not_as_the_user_chooses(cloud, tmp_path):
    put(cloud, "a.txt", b"from the bucket")
    mine = tmp_path / "input" / "a.txt"
    mine.write_bytes(b"mine")
    with pytest.raises(errors.AlreadyExists, match="Choose another if_exists"):
        run_node("DownloadFileFromCloud", key="a.txt", if_exists="fail")
    skipped = run_node("DownloadFileFromCloud", key="a.txt", if_exists="skip")
    assert (skipped["result"], files_of(skipped)[0]["status"]) == ((str(mine), "a.txt"), "skipped")
    assert outputs_of("DownloadFileFromCloud", key="a.txt")[1] == "a_00002.txt"
    assert mine.read_bytes() == b"mine"
    assert outputs_of("DownloadFileFromCloud", key="a.txt", if_exists="overwrite")[1] == "a.txt"
    assert mine.read_bytes() == b"from the bucket"


def test_two_objects_of_one_name_become_two_files(cloud, tmp_path):
    for folder in ("one", "two"):
        put(cloud, f"{folder}/a.txt", folder.encode())
    for _ in range(2):
        found = of_a_list("DownloadFileFromCloud", [{"key": f"{folder}/a.txt"} for folder in ("one", "two")])
        paths = [each["result"][0] for each in found]
        assert [Path(path).read_bytes() for path in paths] == [b"one", b"two"]
    assert sorted(path.name for path in (tmp_path / "input").glob("a*")) == ["a.txt", "a_00002.txt"]


def test_it_runs_again_when_the_object_or_the_file_is_another_one(cloud, tmp_path):
    put(cloud, "a.txt", b"one")
    inputs = {"key": "a.txt", "folder": "temp", "if_exists": "overwrite"}
    inputs |= {"subfolder": "", "filename": "", "unique_id": "7"}

    def changed():
        return nodes_files.DownloadFileFromCloud.IS_CHANGED(**inputs)

    outputs_of("DownloadFileFromCloud", **inputs)
    first = changed()
    assert changed() == first
    (tmp_path / "temp" / "a.txt").unlink()
    second = changed()
    assert second != first
    outputs_of("DownloadFileFromCloud", **inputs)
    put(cloud, "a.txt", b"two")
    assert changed() not in (first, second)


def test_nothing_is_written_outside_of_the_folders(cloud, tmp_path):
    put(cloud, "a.txt", b"one")
    before = sorted(tmp_path.rglob("*"))
    for given in (
        {"subfolder": "../custom_nodes"},
        {"filename": "../../a.py"},
        {"subfolder": "cloud_storage/cache", "folder": "temp"},
        {"filename": ".env"},
    ):
        with pytest.raises(errors.ConfigurationError, match="download to this file"):
            run_node("DownloadFileFromCloud", key="a.txt", **given)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_file_that_can_run_code_comes_with_a_warning(cloud):
    put(cloud, "a.pt", b"pickle")
    assert "can run code" in lines_of(run_node("DownloadFileFromCloud", key="a.pt"))[1]


class File3D:
    """As core 0.33 has it."""

    def __init__(self, source, file_format):
        self.source, self.format = source, file_format
        self.is_disk_backed = isinstance(source, str)

    def get_source(self):
        return self.source

    def get_bytes(self):
        return self.source


def test_a_3d_model_on_a_wire_is_uploaded_from_memory_or_from_its_file(cloud, tmp_path):
    urls, keys = outputs_of("UploadFileToCloud", file=File3D(b"glTF", "glb"))
    assert keys == ["comfyui/files/ComfyUI_00001.glb"]
    assert (cloud.read(keys[0]), cloud.stat(keys[0]).content_type) == (b"glTF", "model/gltf-binary")
    assert urls == cloud.url(keys[0])
    (tmp_path / "input" / "chair.glb").write_bytes(b"on disk")
    _, keys = outputs_of("UploadFileToCloud", file=File3D(str(tmp_path / "input" / "chair.glb"), "glb"))
    assert keys == ["comfyui/files/chair.glb"]
    assert cloud.read(keys[0]) == b"on disk"
    with pytest.raises(errors.NotFound):
        run_node("UploadFileToCloud", file=File3D("/etc/hostname", "glb"))


def test_a_3d_model_in_memory_goes_to_the_outbox_if_it_must(cloud, monkeypatch):
    with monkeypatch.context() as without_a_key:
        without_a_key.delenv("COMFY_S3_SECRET_KEY")
        with pytest.raises(errors.ConfigurationError, match="kept on this computer"):
            run_node("UploadFileToCloud", file=File3D(b"glTF", "glb"), filename="chair")
    assert run_node("RetryPendingUploads")["result"][:2] == (1, 0)
    assert cloud.read("comfyui/files/chair.glb") == b"glTF"
