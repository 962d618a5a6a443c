"""mirror: ComfyUI's folders into the bucket, without a ComfyUI."""

from __future__ import annotations

import signal

MIRROR = {"COMFY_S3_MIRROR": "output"}


def output(cli, name, data=b"made"):
    path = cli.comfyui / "output" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def once(cli, *more):
    return cli.json("mirror", "--once", *more, **MIRROR)


def test_what_is_new_is_uploaded_once_and_what_is_old_if_asked_for(cli, storage):
    output(cli, "old.png")
    first = once(cli)
    assert (first.code, first.done["files"]) == (0, {"stored": 0, "waiting": 0})
    output(cli, "2026/new.png", b"new")
    second = once(cli)
    assert (second.code, second.files("stored")) == (0, ["comfyui/output/2026/new.png"])
    assert storage.read("comfyui/output/2026/new.png") == b"new"
    assert once(cli).files("stored") == []
    assert once(cli, "--all").files("stored") == ["comfyui/output/old.png"]


def test_what_cannot_be_sent_waits_and_the_exit_code_says_so(cli, storage):
    output(cli, "old.png")
    once(cli)
    output(cli, "new.png")
    failed = cli.json("mirror", "--once", **MIRROR, COMFY_S3_SECRET_KEY="wrong-secret-of-nobody")
    assert (failed.code, failed.done["files"]) == (1, {"stored": 0, "waiting": 1})
    assert failed.files("waiting") == ["comfyui/output/new.png"]
    assert any(event["event"] == "error" for event in failed.events)
    assert once(cli).files("stored") == ["comfyui/output/new.png"]


def test_without_the_setting_it_says_what_to_set(cli):
    done = cli.run("mirror", "--once")
    assert done.code == 2
    assert "COMFY_S3_MIRROR" in done.err


def test_it_runs_until_it_is_interrupted_and_two_do_not_send_one_folder(cli, storage):
    output(cli, "old.png")
    once(cli)
    output(cli, "new.png")
    process = cli.start("mirror", "--json", **MIRROR)
    assert '"status": "stored"' in process.stdout.readline()
    other = once(cli)
    assert (other.code, other.files("stored")) == (1, [])
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert once(cli).code == 0
