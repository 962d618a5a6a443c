"""What a save node is told, and what comes of it."""

from __future__ import annotations

import pytest
from cloud_storage import errors
from cloud_storage.comfyui.node_lines import Line
from cloud_storage.saving import choices
from cloud_storage.saving.list_order import Call
from cloud_storage.saving.save_request import SaveRequest, SaveResult
from cloud_storage.saving.store_file import File
from cloud_storage.system.meter import Meter
from comfy import cli_args

PROMPT = {"1": {"class_type": "KSampler", "inputs": {"seed": 7}}}


def request(**told):
    fixed = {"profile": None, "key_prefix": "a/", "filename": "x_%seed%", "prompt": PROMPT}
    return SaveRequest(**{**fixed, "extra_pnginfo": None, "unique_id": "2", **told})


def save(request, count=2):
    names = request.names("bin", count)
    return request.save(
        names,
        lambda index: File(b"%d" % index, "application/octet-stream"),
        lambda file, key: {"filename": key},
        Meter(),
        Call(),
    )


def test_it_is_told_by_name_only():
    with pytest.raises(TypeError):
        SaveRequest(None, "a/", "x")


def test_a_batch_gives_links_keys_lines_and_previews(cloud):
    result = save(request())
    assert result.keys == ["a/x_7_0.bin", "a/x_7_1.bin"]
    assert result.links == [cloud.url(key) for key in result.keys]
    assert result.urls == ";".join(result.links)
    assert [preview["filename"] for preview in result.previews] == result.keys
    assert [str(line) for line in result.lines][1:] == result.links
    assert result.summary == "Saved 2 objects, a/x_7_0.bin … a/x_7_1.bin."


def test_a_file_is_uploaded_as_the_same_request_says(cloud, tmp_path):
    path = tmp_path / "cat.txt"
    path.write_bytes(b"cat")
    asked = request(link=choices.NO_LINK)
    result = asked.upload(path.name, path, Meter(), lambda text: None, Call())
    assert (result.keys, result.urls, result.summary) == (["a/x_7.txt"], "", "Saved a/x_7.txt.")
    assert cloud.read("a/x_7.txt") == b"cat"


def test_settings_that_are_wrong_are_raised_at_once_only_where_nothing_is_kept(comfyui, monkeypatch):
    monkeypatch.setenv("COMFY_S3_PROVIDER", "AWS S3")
    monkeypatch.setenv("COMFY_S3_BUCKET", "")
    with pytest.raises(errors.ConfigurationError):
        _ = request(on_failure=choices.STOP).storage
    assert request().names("png", 1)[0].fixed() == "a/x_7.png"


def test_the_workflow_goes_in_unless_the_user_or_the_server_wants_none(comfyui, monkeypatch):
    assert request().metadata(embed_workflow=True).prompt == PROMPT
    assert request().metadata(embed_workflow=False) is None
    monkeypatch.setattr(cli_args.args, "disable_metadata", True)
    assert request().metadata(embed_workflow=True) is None


def test_values_of_another_package_are_translated_and_the_node_says_so(cloud):
    asked = request(if_exists=True, link=5).understood()
    assert (asked.if_exists, asked.link, asked.expires_hours) == ("new name", "presigned", 5)
    assert "presign" in str(save(asked).lines[0])
    assert request().understood() == request()


def test_the_summary_has_no_address():
    result = SaveResult(["http://a"], ["a"], [Line("Saved a."), Line("http://a")], [], [])
    assert result.summary == "Saved a."
