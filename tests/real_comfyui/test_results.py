"""``cloud_files`` as programs get it from a real ComfyUI: the history, the websocket, the program in docs/.

Skipped where COMFYUI_PATH names no ComfyUI.
"""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request

import pytest
from result_lists import checked, run_program
from servers.comfyui_api import run

pytestmark = pytest.mark.skipif(
    "COMFYUI_PATH" not in os.environ, reason="COMFYUI_PATH does not name a check-out of ComfyUI"
)

PICTURE = {"width": 64, "height": 48, "batch_size": 2, "color": 255}
PROMPT = {
    "1": {"class_type": "EmptyImage", "inputs": PICTURE},
    "2": {
        "class_type": "SaveImageToCloud",
        "inputs": {
            "images": ["1", 0],
            "key_prefix": "told/",
            "filename": "a_%counter%",
            "format": "png",
            "quality": 90,
            "link": "presigned",
            "expires_hours": 1,
        },
    },
    "3": {"class_type": "LoadImageFromCloud", "inputs": {"key": ["2", 1]}},  # a list: called for each
    "4": {"class_type": "PreviewImage", "inputs": {"images": ["3", 0]}},
}


def has_jobs(address):
    """Whether this is core 0.33, which lists jobs, and not 0.3.64."""
    try:
        with urllib.request.urlopen(f"{address}/api/jobs"):
            return True
    except urllib.error.HTTPError:
        return False


def test_history_and_websocket_have_the_same_list_of_each_node(address, place):
    ran = run(address, PROMPT)
    saved, loaded = (checked(ran.outputs(node)["cloud_files"]) for node in ("2", "3"))
    for node, files in (("2", saved), ("3", loaded)):
        assert checked(ran.executed[node]["cloud_files"]) == files
    storage = place.open()
    keys = [info.key for info in storage.list("told/")]
    assert [file["key"] for file in saved] == [file["key"] for file in loaded] == keys
    assert [file["etag"] for file in saved] == [file["etag"] for file in loaded]
    assert {file["status"] for file in saved} == {"stored"}
    assert {file["status"] for file in loaded} == {"fetched"}
    for file in saved:
        assert (file["width"], file["height"], file["bucket"]) == (64, 48, place.bucket)
        with urllib.request.urlopen(file["url"]) as answer:
            assert len(answer.read()) == file["size"]
    assert place.secret not in json.dumps(ran.history)
    again = run(address, PROMPT)
    for node, files in (("2", saved), ("3", loaded)):
        assert checked(again.outputs(node)["cloud_files"]) == files, "what is cached is in the history again"
    told_again = [node for node in ("2", "3") if node in again.executed]
    assert told_again == (["2", "3"] if has_jobs(address) else ["2"]), "as docs/results.md says of both cores"


def test_the_jobs_of_the_page_show_no_more_previews_than_there_are(address):
    """Core 0.33 counts what the page can show; core 0.3.64 has no such list."""
    run(address, PROMPT)
    if not has_jobs(address):
        pytest.skip("this ComfyUI has no list of jobs")
    with urllib.request.urlopen(f"{address}/api/jobs") as answer:
        jobs = json.load(answer)["jobs"]
    assert jobs[0]["preview_output"]["filename"].endswith(".png")
    assert all(job["previewable_outputs_count"] in (2, 4) for job in jobs)  # cached previews count on 0.33


def test_the_program_of_the_page_gets_all_files_of_a_prompt(address, place, tmp_path):
    prompt = json.loads(json.dumps(PROMPT).replace("told/", "program/"))
    ended = run_program(address, prompt, tmp_path)
    assert ended.returncode == 0, ended.stderr
    lines = [line.split() for line in ended.stdout.splitlines()]
    keys = [info.key for info in place.open().list("program/")]
    assert sorted(line[:3] for line in lines) == sorted(
        [["2", "stored", key] for key in keys] + [["3", "fetched", key] for key in keys]
    )
    assert all("ignature" in line[3] for line in lines if line[0] == "2")
    prompt["3"]["inputs"]["key"] = "program/gone.png"
    prompt["2"]["inputs"]["filename"] = "b_%counter%"
    assert run_program(address, prompt, tmp_path).returncode == 1
