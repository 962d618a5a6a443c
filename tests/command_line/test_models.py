"""models list, pull and push; in an environment that has nothing but an SDK, as in a container."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from cloud_storage.storage.base import PutOptions
from cloud_storage.system.meter import Meter
from command_line_process import make_comfyui
from servers.faults import Cut, Fault


def put(storage, name, data=b"weights"):
    sha256 = hashlib.sha256(data).hexdigest()
    storage.put(f"models/{name}", data, PutOptions(metadata={"sha256": sha256}), Meter())
    return sha256


def test_the_bare_environment_is_bare(bare_python):
    program = (
        "import importlib.util as u; print([n for n in ('filelock','torch','tqdm','yaml') if u.find_spec(n)])"
    )
    shown = subprocess.run([bare_python, "-c", program], capture_output=True, text=True, check=True)
    assert shown.stdout == "[]\n"


def test_an_entrypoint_pulls_a_manifest_is_killed_at_half_and_resumes(proxied, storage, bare_python):
    """In a fresh environment, without ComfyUI: the folder has nothing but the package."""
    cli, proxy = proxied
    cli = replace(cli, python=bare_python)
    large = os.urandom(40 << 20)
    manifest = [
        {
            "type": "loras",
            "name": "style/ink.safetensors",
            "sha256": put(storage, "loras/style/ink.safetensors"),
        },
        {"type": "vae", "name": "small.safetensors"},
        {
            "type": "checkpoints",
            "name": "large.safetensors",
            "sha256": put(storage, "checkpoints/large.safetensors", large),
        },
    ]
    put(storage, "vae/small.safetensors", b"small")
    file = cli.cwd / "models.json"
    file.write_text(json.dumps(manifest))
    # One range arrives, of the others no more than their beginning
    half = [
        Fault(Cut("response body", 1 << 20, "silence"), "GET", "large.safetensors", skip=skip)
        for skip in (2, 3, 4)
    ]
    for fault in half:
        proxy.add(fault)
    killed = cli.killed_at(
        lambda event: event.get("done", 0) >= (16 << 20), "models", "pull", "--manifest", file
    )
    assert killed.code == -signal.SIGKILL
    target = cli.comfyui / "models" / "checkpoints" / "large.safetensors"
    assert not target.exists()
    proxy.clear()
    already = sum(stop - start for start, stop in _arrived(target))
    assert already > 0
    resumed = cli.json("models", "pull", "--manifest", file)
    assert resumed.code == 0, resumed
    assert target.read_bytes() == large
    ranges = [record.headers.get("range") for record in proxy.requests if "large.safe" in record.path]
    asked = sum(int(stop) - int(start) + 1 for start, stop in map(_range, filter(None, ranges)))
    assert asked <= len(large) - already
    assert sorted(resumed.files("fetched") + resumed.files("unchanged")) == [
        "models/checkpoints/large.safetensors",
        "models/loras/style/ink.safetensors",
        "models/vae/small.safetensors",
    ]
    again = cli.json("models", "pull", "--manifest", file)
    assert (again.code, again.done["files"], again.done["bytes"]) == (0, {"unchanged": 3}, 0)
    names = {path.name for path in target.parent.iterdir()}
    assert names == {"large.safetensors", ".large.safetensors.cloud.json"}


def _range(header):
    return header.removeprefix("bytes=").split("-")


def _arrived(target: Path):
    lines = target.with_name(f"{target.name}.part.journal").read_text().splitlines()[1:]
    return [tuple(entry) for entry in map(json.loads, lines) if isinstance(entry, list)]


@pytest.mark.parametrize(
    ("manifest", "said"),
    [
        ("{", "not JSON"),
        ('{"other": 1}', "not a list"),
        ('[{"type": "loras"}]', "Entry 1 of the manifest"),
        (
            '[{"type": "loras", "name": "a.safetensors", "sha": "x"}]',
            "unknown field 'sha'. Did you mean 'sha256'?",
        ),
        ('[{"type": "loras", "name": "a.safetensors", "sha256": "12"}]', "64 hexadecimal digits"),
        ('[{"type": "loras", "name": 5}]', "not an object with texts"),
    ],
)
def test_a_wrong_manifest_is_wrong_usage_and_names_the_entry(offline, manifest, said):
    (offline.cwd / "m.json").write_text(manifest)
    done = offline.run("models", "pull", "--manifest", "m.json")
    assert (done.code, said in done.err) == (2, True), done.err


def test_a_model_with_another_checksum_is_refused(cli, storage):
    put(storage, "loras/a.safetensors")
    (cli.cwd / "m.json").write_text(
        json.dumps([{"type": "loras", "name": "a.safetensors", "sha256": "0" * 64}])
    )
    done = cli.run("models", "pull", "--manifest", "m.json")
    assert (done.code, "another sha256" in done.err) == (1, True)
    assert not (cli.comfyui / "models" / "loras" / "a.safetensors").exists()


def test_models_are_pulled_by_type_and_name_or_by_the_name_alone(cli, storage):
    for name in ("loras/style/ink.safetensors", "loras/b.safetensors", "vae/b.safetensors", "unet/flux.gguf"):
        put(storage, name)
    put(storage, "ipadapter/plus.bin")
    done = cli.json("models", "pull", "loras/style/ink.safetensors", "ipadapter/plus.bin")
    assert done.done["files"] == {"fetched": 2}, done
    assert (cli.comfyui / "models/loras/style/ink.safetensors").read_bytes() == b"weights"
    assert (cli.comfyui / "models/ipadapter/plus.bin").exists()
    assert cli.json("models", "pull", "ink.safetensors").done["files"] == {"unchanged": 1}
    doubtful = cli.run("models", "pull", "b.safetensors")
    assert (doubtful.code, "loras/b.safetensors or vae/b.safetensors" in doubtful.err) == (1, True)
    missing = cli.run("models", "pull", "loras/nothing.safetensors", "other.safetensors")
    assert missing.code == 1
    assert "There is no model 'other.safetensors'" in missing.err
    misspelled = cli.run("models", "pull", "--manifest", _manifest(cli, "lora", "a.safetensors"))
    assert (misspelled.code, "Did you mean 'loras'?" in misspelled.err) == (1, True), misspelled.err


def _manifest(cli, model_type, name):
    file = cli.cwd / "list.json"
    file.write_text(json.dumps({"models": [{"type": model_type, "name": name}]}))
    return file


def test_a_file_of_another_origin_is_replaced_only_when_asked(cli, storage):
    put(storage, "loras/a.safetensors")
    target = cli.comfyui / "models" / "loras" / "a.safetensors"
    target.parent.mkdir(parents=True)
    target.write_bytes(b"my own")
    assert cli.run("models", "pull", "loras/a.safetensors").code == 1
    assert target.read_bytes() == b"my own"
    assert cli.json("models", "pull", "loras/a.safetensors", "--overwrite").done["files"] == {"fetched": 1}
    assert target.read_bytes() == b"weights"
    assert cli.json("models", "pull", "loras/a.safetensors", "--overwrite").done["files"] == {"unchanged": 1}


def test_models_are_pushed_where_they_are_pulled_from_and_listed_on_both_sides(cli, storage, tmp_path):
    for name in ("loras/style/ink.safetensors", "checkpoints/base.safetensors", "t2i_adapter/pose.pth"):
        path = cli.comfyui / "models" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    put(storage, "vae/theirs.safetensors")
    dry = cli.json("models", "push", "loras/style/ink.safetensors", "--dry-run")
    assert dry.done["files"] == {"to_store": 1}
    done = cli.json("models", "push", "ink.safetensors", "pose.pth")
    assert done.files("stored") == ["models/controlnet/pose.pth", "models/loras/style/ink.safetensors"]
    assert cli.json("models", "push", "loras/style/ink.safetensors").done["files"] == {"skipped": 1}
    listed = {
        f"{event['type']}/{event['name']}": (event["here"], bool(event.get("key")))
        for event in cli.json("models", "list").events
        if event["event"] == "model"
    }
    assert listed == {
        "checkpoints/base.safetensors": (True, False),
        "controlnet/pose.pth": (True, True),
        "loras/style/ink.safetensors": (True, True),
        "vae/theirs.safetensors": (False, True),
    }
    other = replace(cli, comfyui=make_comfyui(tmp_path / "other"))
    assert other.json("models", "pull", "loras/style/ink.safetensors").code == 0
    assert (
        other.comfyui / "models/loras/style/ink.safetensors"
    ).read_bytes() == b"loras/style/ink.safetensors"
    assert "Did you mean" in cli.run("models", "push", "style/inc.safetensors").err


def test_models_are_where_the_settings_say_unless_the_command_says_it(cli, storage):
    storage.put("shared/loras/a.safetensors", b"shared", PutOptions(), Meter())
    put(storage, "loras/a.safetensors")
    target = cli.comfyui / "models" / "loras" / "a.safetensors"
    settings = {"COMFY_S3_MODELS_PREFIX": "shared"}
    assert cli.run("models", "pull", "loras/a.safetensors", **settings).code == 0
    assert target.read_bytes() == b"shared"
    target.unlink()
    assert cli.run("models", "pull", "loras/a.safetensors", "--prefix", "models", **settings).code == 0
    assert target.read_bytes() == b"weights"


def test_extra_model_paths_are_where_models_are_put(cli, storage, tmp_path):
    put(storage, "loras/a.safetensors")
    elsewhere = tmp_path / "elsewhere"
    (cli.comfyui / "extra_model_paths.yaml").write_text(
        f"store:\n    base_path: {elsewhere}\n    is_default: true\n    loras: |\n        my/loras\n"
    )
    assert cli.run("models", "pull", "loras/a.safetensors").code == 0
    assert (elsewhere / "my" / "loras" / "a.safetensors").read_bytes() == b"weights"
