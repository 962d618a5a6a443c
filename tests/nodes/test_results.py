"""``cloud_files`` of every node that stores or fetches files: what it says is so in the bucket."""

from __future__ import annotations

import ast
import hashlib
import json
import re
import threading
import urllib.request
from datetime import datetime, timedelta, timezone
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import torch
from cloud_storage.storage.base import PutOptions
from cloud_storage.system.meter import Meter
from comfy_api.input_impl import VideoFromComponents
from comfy_api.util import VideoComponents
from conftest import ROOT, run_node
from documents import blocks, text_of
from result_lists import files_of, run_program

IMAGES = torch.rand(2, 24, 32, 3)
LINKS = ("url", "signed_until")


def same_as_in_the_bucket(cloud, file, *, is_listed=False):
    """Check one entry against the object itself; the profile's secret is nowhere in it. ``is_listed``: only a
    listing has described it, which has neither its type nor its sha256.
    """
    info = cloud.stat(file["key"])
    assert (file["bucket"], file["size"], file["etag"]) == (cloud.bucket, info.size, info.etag)
    assert file.get("content_type", "") == ("" if is_listed else info.content_type)
    assert file.get("sha256", "") == ("" if is_listed else info.sha256)
    assert file["profile"] == "(env vars)"
    assert not {"secret", "access"} & set(json.dumps(file).lower().split('"'))


def test_saved_images_are_listed_in_order_with_their_size(cloud):
    done = run_node("SaveImageToCloud", images=IMAGES)
    files = files_of(done)
    assert [file["key"] for file in files] == done["result"][1]
    assert [file["url"] for file in files] == done["result"][0].split(";")
    for file in files:
        same_as_in_the_bucket(cloud, file)
        assert (file["status"], file["width"], file["height"]) == ("stored", 32, 24)
        assert file["sha256"] == hashlib.sha256(cloud.read(file["key"])).hexdigest()
        assert not {"signed_until", "frames", "seconds"} & file.keys()


def test_a_signed_address_is_there_only_if_it_was_asked_for_and_says_how_long_it_works(cloud):
    begun = datetime.now(timezone.utc).replace(microsecond=0)
    done = run_node("SaveImageToCloud", images=IMAGES[:1], link="presigned", expires_hours=2)
    (file,) = files_of(done)
    assert file["url"] == done["result"][0]
    with urllib.request.urlopen(file["url"]) as answer:
        assert answer.read() == cloud.read(file["key"])
    until = datetime.strptime(file["signed_until"], "%Y-%m-%dT%H:%M:%S%z")
    assert begun + timedelta(hours=2) <= until <= datetime.now(timezone.utc) + timedelta(hours=2)
    (file,) = files_of(run_node("SaveImageToCloud", images=IMAGES[:1], link="none"))
    assert not file.keys() & set(LINKS)


def test_what_was_there_already_is_skipped_and_described_as_it_is(cloud):
    cloud.put("comfyui/images/a.png", b"another", PutOptions(content_type="image/png"), Meter())
    (file,) = files_of(run_node("SaveImageToCloud", images=IMAGES[:1], filename="a", if_exists="skip"))
    same_as_in_the_bucket(cloud, file)
    assert (file["status"], file["size"]) == ("skipped", 7)
    assert "width" not in file


def test_a_video_and_audio_have_their_durations(cloud):
    frames = VideoComponents(images=torch.rand(6, 32, 48, 3), audio=None, frame_rate=Fraction(3))
    (file,) = files_of(run_node("SaveVideoToCloud", video=VideoFromComponents(frames)))
    same_as_in_the_bucket(cloud, file)
    assert [file[name] for name in ("width", "height", "frames", "seconds")] == [48, 32, 6, 2.0]
    (loaded,) = files_of(run_node("LoadVideoFromCloud", key=file["key"], skip_first_frames=2))
    same_as_in_the_bucket(cloud, loaded)
    assert loaded["status"] == "fetched"
    assert [loaded[name] for name in ("width", "height", "frames", "seconds")] == [48, 32, 6, 2.0]
    audio = {"waveform": torch.zeros(2, 1, 4000), "sample_rate": 8000}
    saved = files_of(run_node("SaveAudioToCloud", audio=audio))
    assert [file["seconds"] for file in saved] == [0.5, 0.5]
    (whole,) = files_of(run_node("LoadAudioFromCloud", key=saved[0]["key"]))
    assert (whole["status"], whole["seconds"]) == ("fetched", 0.5)
    (part,) = files_of(run_node("LoadAudioFromCloud", key=saved[0]["key"], duration_seconds=0.1))
    assert "seconds" not in part


def test_an_image_is_fetched_once_and_then_unchanged(cloud):
    key = run_node("SaveImageToCloud", images=IMAGES[:1])["result"][1][0]
    for node, status in (
        ("LoadImageFromCloud", "fetched"),
        ("LoadImageFromCloud", "unchanged"),
        ("LoadMaskFromCloud", "unchanged"),
    ):
        (file,) = files_of(run_node(node, key=key))
        same_as_in_the_bucket(cloud, file)
        assert (file["key"], file["status"], file["width"], file["height"]) == (key, status, 32, 24)
        assert not file.keys() & {*LINKS, "frames"}


def test_a_folder_lists_what_was_loaded_of_it(cloud):
    keys = run_node("SaveImageToCloud", images=IMAGES)["result"][1]
    run_node("LoadImageFromCloud", key=keys[0])
    cloud.put("comfyui/images/broken.png", b"no image", PutOptions(), Meter())
    files = files_of(run_node("LoadImagesFromCloud", prefix="comfyui/images/"))
    assert [(file["key"], file["status"]) for file in files] == [
        (keys[0], "unchanged"),
        (keys[1], "fetched"),
    ]
    for file in files:
        same_as_in_the_bucket(cloud, file, is_listed=file["status"] == "unchanged")


def test_files_and_models_say_if_they_travelled(cloud, tmp_path):
    lora = tmp_path / "models" / "loras" / "a.safetensors"
    lora.parent.mkdir(parents=True)
    lora.write_bytes(b"weights" * 100)
    statuses = []
    for _ in range(2):
        (file,) = files_of(run_node("UploadModelToCloud", model_type="loras", model="a.safetensors"))
        same_as_in_the_bucket(cloud, file)
        assert file["url"] == cloud.url(file["key"])
        statuses.append(file["status"])
    (file,) = files_of(run_node("UploadFileToCloud", file="models/loras/a.safetensors", key_prefix="b/"))
    same_as_in_the_bucket(cloud, file)
    statuses.append(file["status"])
    lora.unlink()
    for _ in range(2):
        (file,) = files_of(run_node("LoadModelFromCloud", model_type="loras", key="b/a.safetensors"))
        same_as_in_the_bucket(cloud, file)
        assert not file.keys() & set(LINKS)
        statuses.append(file["status"])
    assert statuses == ["stored", "skipped", "stored", "fetched", "unchanged"]


def test_a_file_of_the_outbox_waits_and_is_found_again_when_it_is_sent(cloud, monkeypatch):
    with monkeypatch.context() as without_a_key:
        without_a_key.delenv("COMFY_S3_SECRET_KEY")
        given = {"images": IMAGES, "on_failure": "keep and go on"}
        waiting = files_of(run_node("SaveImageToCloud", **given))
        (fixed,) = files_of(
            run_node("SaveImageToCloud", **{**given, "images": IMAGES[:1]}, filename="a", if_exists="skip")
        )
        left = files_of(run_node("RetryPendingUploads"))
    assert [file["status"] for file in (*waiting, fixed, *left)] == ["waiting"] * 6
    assert not [file for file in waiting if file.keys() & {"key", "etag", *LINKS}]
    assert (waiting[0]["width"], fixed["key"]) == (32, "comfyui/images/a.png")
    sent = files_of(run_node("RetryPendingUploads"))
    for file in sent:
        same_as_in_the_bucket(cloud, file)
    assert {file["status"] for file in sent} == {"stored"}
    told = [(file["sha256"], file["size"]) for file in (*waiting, fixed)]
    assert sorted((file["sha256"], file["size"]) for file in sent) == sorted(told)


def test_what_somebody_else_stored_meanwhile_is_skipped_by_the_outbox(cloud, monkeypatch):
    with monkeypatch.context() as without_a_key:
        without_a_key.delenv("COMFY_S3_SECRET_KEY")
        run_node(
            "SaveImageToCloud",
            images=IMAGES[:1],
            on_failure="keep and go on",
            filename="a",
            if_exists="skip",
        )
    cloud.put("comfyui/images/a.png", b"another", PutOptions(), Meter())
    (file,) = files_of(run_node("RetryPendingUploads"))
    same_as_in_the_bucket(cloud, file)
    assert (file["status"], file["size"]) == ("skipped", 7)


@pytest.mark.parametrize("page", ["docs/results.md", "docs/results.zh.md"])
def test_the_example_of_the_page_fits_the_schema_and_so_does_its_table(page):
    (example,) = [block for block in blocks(text_of(page)) if block.startswith("json")]
    files = files_of({"ui": {"cloud_files": json.loads(example.removeprefix("json"))}})
    properties = json.loads(text_of("docs/results.schema.json"))["items"]["properties"]
    rows = re.findall(r"^\| (`.*?) \|", text_of(page), re.MULTILINE)
    named = [name for row in rows for name in re.findall("`(.*?)`", row)]
    assert named == [*properties, *properties["status"]["enum"]]
    assert files


def test_the_program_of_the_page_prints_every_file_of_a_prompt(cloud, tmp_path):
    """Against a server that answers as ComfyUI does; tests/real_comfyui/test_results.py asks ComfyUI."""
    done = run_node("SaveImageToCloud", images=IMAGES)
    outputs = {"3": done["ui"], "9": {"images": []}}
    answers = iter([{}, {"p": {"outputs": outputs, "status": {"status_str": "success"}}}])

    class Answering(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.answer({"prompt_id": "p"})

        def do_GET(self):
            assert self.path == "/history/p"
            self.answer(next(answers))

        def answer(self, content):
            data = json.dumps(content).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *arguments):
            pass

    with HTTPServer(("127.0.0.1", 0), Answering) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            ended = run_program(f"http://127.0.0.1:{server.server_port}", {}, tmp_path)
        finally:
            server.shutdown()
    assert ended.returncode == 0
    wanted = [f"3 stored {file['key']} {file['url']}" for file in done["ui"]["cloud_files"]]
    assert ended.stdout.splitlines() == wanted


OTHERS = {"nodes_browse", "nodes_profile"}  # they neither store nor fetch files


@pytest.mark.parametrize("path", sorted(ROOT.glob("nodes_*.py")), ids=lambda path: path.stem)
def test_every_node_that_stores_or_fetches_hands_its_files_to_programs(path):
    """So a new node does, too: each result has lines and, as its third argument, files."""
    calls = [
        node
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "results.shown"
    ]
    assert calls
    for call in calls:
        has_files = len(call.args) > 2 or any(keyword.arg == "files" for keyword in call.keywords)
        assert has_files == (path.stem not in OTHERS), ast.unparse(call)
