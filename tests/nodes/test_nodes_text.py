"""Save Text and Load Text, as ComfyUI runs them."""

from __future__ import annotations

import json

import pytest
from cloud_storage import errors, nodes_text
from cloud_storage.media import text
from cloud_storage.storage.base import PutOptions
from cloud_storage.system.meter import Meter
from conftest import lines_of, of_a_list, outputs_of, run_node
from result_lists import files_of

WORDS = 'a cat, 一只猫 🐈\n{"a": 1}\n'


def test_a_text_comes_back_by_the_key_that_saving_it_gave(cloud):
    urls, (key,), same = outputs_of("SaveTextToCloud", text=WORDS)
    assert (key, same) == ("comfyui/text/ComfyUI_00001.txt", WORDS)
    assert urls == cloud.url(key)
    assert cloud.read(key) == WORDS.encode()
    assert cloud.stat(key).content_type == "text/plain;charset=utf-8"
    assert outputs_of("LoadTextFromCloud", key=key) == (WORDS,)


def test_any_extension_and_a_byte_order_mark(cloud):
    done = run_node("SaveTextToCloud", text="a,é", extension=".csv", filename="t", byte_order_mark=True)
    (file,) = files_of(done)
    assert (file["key"], file["content_type"]) == ("comfyui/text/t.csv", "text/csv;charset=utf-8")
    assert cloud.read(file["key"]) == b"\xef\xbb\xbfa,\xc3\xa9"
    assert outputs_of("LoadTextFromCloud", key=file["key"]) == ("a,é",)
    _, (key,), _ = outputs_of("SaveTextToCloud", text=json.dumps({"a": 1}), extension="json")
    assert json.loads(outputs_of("LoadTextFromCloud", key=key)[0]) == {"a": 1}


def test_a_long_text_is_no_problem_and_a_longer_one_is_told(cloud):
    _, (key,), _ = outputs_of("SaveTextToCloud", text="x" * text.MAX_BYTES)
    assert outputs_of("LoadTextFromCloud", key=key) == ("x" * text.MAX_BYTES,)
    with pytest.raises(errors.ConfigurationError, match="16,000,001 characters"):
        run_node("SaveTextToCloud", text="x" * (text.MAX_BYTES + 1))
    with pytest.raises(errors.MediaError, match="16,000,001 bytes"):
        run_node("SaveTextToCloud", text="é" * (text.MAX_BYTES // 2) + "x")
    cloud.put("long.txt", b"x" * (text.MAX_BYTES + 1), PutOptions(), Meter())
    with pytest.raises(errors.MediaError, match=r"a text may have 16,000,000\. Choose a text"):
        run_node("LoadTextFromCloud", key="long.txt")


def test_an_unchanged_text_is_not_downloaded_again(cloud):
    cloud.put("a.txt", b"one", PutOptions(), Meter())
    node = nodes_text.LoadTextFromCloud
    first = run_node("LoadTextFromCloud", key="a.txt", unique_id="7")
    state = node.IS_CHANGED(key="a.txt", profile=None, on_damage=None, unique_id="7")
    again = run_node("LoadTextFromCloud", key="a.txt", unique_id="7")
    assert [files_of(done)[0]["status"] for done in (first, again)] == ["fetched", "unchanged"]
    assert node.IS_CHANGED(key="a.txt", unique_id="7") == state
    cloud.put("a.txt", b"two", PutOptions(), Meter())
    assert node.IS_CHANGED(key="a.txt", unique_id="7") != state
    assert outputs_of("LoadTextFromCloud", key="a.txt", unique_id="7") == ("two",)


def test_what_is_no_utf8_is_loaded_with_a_line_or_refused(cloud):
    cloud.put("a.txt", b"caf\xe9", PutOptions(), Meter())
    done = run_node("LoadTextFromCloud", key="a.txt")
    assert done["result"] == ("caf\ufffd",)
    assert "not UTF-8" in lines_of(done)[1]
    with pytest.raises(errors.MediaError, match="not UTF-8"):
        run_node("LoadTextFromCloud", key="a.txt", on_damage="fail")


def test_the_texts_of_a_list_are_saved_in_order_and_none_replaces_another(cloud):
    items = [{"text": f"{number}", "filename": "a", "if_exists": "overwrite"} for number in range(3)]
    keys = [found["result"][1][0] for found in of_a_list("SaveTextToCloud", items)]
    assert keys == [f"comfyui/text/a{tail}.txt" for tail in ("", "_1", "_2")]
    assert [cloud.read(key) for key in keys] == [b"0", b"1", b"2"]


def test_a_text_that_cannot_be_sent_waits_in_the_outbox(cloud, monkeypatch):
    with monkeypatch.context() as without_a_key:
        without_a_key.delenv("COMFY_S3_SECRET_KEY")
        done = run_node("SaveTextToCloud", text=WORDS, on_failure="keep and go on", filename="a")
        with pytest.raises(errors.ConfigurationError, match="kept on this computer"):
            run_node("SaveTextToCloud", text=WORDS, filename="b")
    assert done["result"][1] == [""]
    assert run_node("RetryPendingUploads")["result"][:2] == (2, 0)
    for name in ("a", "b"):
        assert cloud.read(f"comfyui/text/{name}.txt") == WORDS.encode()
        assert cloud.stat(f"comfyui/text/{name}.txt").content_type == "text/plain;charset=utf-8"


def test_skip_fail_and_an_odd_extension(cloud):
    run_node("SaveTextToCloud", text="one", filename="a")
    done = run_node("SaveTextToCloud", text="two", filename="a", if_exists="skip")
    assert files_of(done)[0]["status"] == "skipped"
    with pytest.raises(errors.AlreadyExists):
        run_node("SaveTextToCloud", text="two", filename="a", if_exists="fail")
    with pytest.raises(errors.ConfigurationError, match="extension"):
        run_node("SaveTextToCloud", text="two", extension="../x")
    assert [info.key for info in cloud.list()] == ["comfyui/text/a.txt"]
