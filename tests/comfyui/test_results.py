from __future__ import annotations

from pathlib import Path

import folder_paths
import pytest
from cloud_storage import errors
from cloud_storage.comfyui import results
from cloud_storage.comfyui.node_lines import WARNING, Line


def path_of(item):
    return Path(folder_paths.get_temp_directory()) / item["subfolder"] / item["filename"]


def test_a_preview_of_bytes_has_the_name_of_its_object(comfyui):
    item = results.preview(b"bytes", "webp", "out/cat_00001_.png")
    assert (item["filename"], item["type"]) == ("cat_00001_.webp", "temp")
    assert path_of(item).read_bytes() == b"bytes"


def test_two_previews_of_one_name_lie_side_by_side(comfyui):
    one, other = (results.preview(data, "webp", "a.png") for data in (b"1", b"2"))
    assert [path_of(item).read_bytes() for item in (one, other)] == [b"1", b"2"]


def test_a_file_becomes_a_preview_by_being_moved(comfyui):
    source = results.new_preview("mp4")
    assert not source.exists()
    source.write_bytes(b"video")
    item = results.preview(source, "mp4", "clip.mov")
    assert not source.exists()
    assert path_of(item).read_bytes() == b"video"
    assert item["filename"] == "clip.mp4"


def test_a_preview_that_cannot_be_written_leaves_nothing(comfyui, tmp_path):
    with pytest.raises(errors.StorageError, match="write a preview"):
        results.preview(tmp_path / "missing.mp4", "mp4", "a.mp4")
    assert [path for path in Path(folder_paths.get_temp_directory()).rglob("*") if path.is_file()] == []
    assert list((Path(folder_paths.get_temp_directory()) / "cloud_storage").iterdir()) == []


def test_a_video_has_a_player_and_a_gif_has_none():
    assert results.player([{"filename": "a.mp4"}]) == {"images": [{"filename": "a.mp4"}], "animated": (True,)}
    assert results.player([{"filename": "a.gif"}]) == {"images": [{"filename": "a.gif"}]}


def test_a_node_returns_its_outputs_lines_and_previews():
    made = results.shown((1, 2), ["done", Line("look out", WARNING)], images=[])
    assert made == {
        "result": (1, 2),
        "ui": {results.LINES: ["done", ["look out", {"level": WARNING}]], "images": []},
    }


def test_an_output_that_is_missing_blocks_with_a_reason(comfyui):
    assert results.blocked("There is none.").message == "There is none."
