"""Every node with every kind of wrong value in every input: it works, or says in a plain error what is wrong.

The inputs are those that the nodes declare, so that a new node or input is among them by itself.
"""

from __future__ import annotations

import math

import cloud_storage
import numpy as np
import pytest
import torch
from cloud_storage import errors
from cloud_storage.comfyui import folders
from cloud_storage.loading import is_changed
from cloud_storage.media import latent_file
from cloud_storage.media.image import image_encoder
from cloud_storage.storage import base
from cloud_storage.system.meter import Meter
from comfy_api.input_impl import VideoFromComponents
from comfy_api.util import VideoComponents
from conftest import make_place, own_prefix, run_node

PLAIN = (errors.StorageError, errors.MediaError)


class Stranger:
    """What another package's node may hand on: it knows nothing that anybody asks of it."""


def nested(depth, wrap):
    value = wrap(0)
    for _ in range(depth):
        value = wrap(value)
    return value


def sound(**changes):
    return {"waveform": torch.zeros((1, 1, 64)), "sample_rate": 8000, **changes}


class Film:
    """A VIDEO of another package, with parts that may be anything."""

    def __init__(self, **parts):
        whole = {"images": torch.zeros((2, 16, 16, 3)), "audio": None, "frame_rate": 8}
        self.parts = type("Parts", (), {**whole, **parts})

    def get_components(self):
        return self.parts


WRONG = {
    "none": None,
    "true": True,
    "zero": 0,
    "minus one": -1,
    "a huge number": 10**5000,
    "a very low number": -(10**5000),
    "a fraction": 1.5,
    "nan": math.nan,
    "infinity": math.inf,
    "minus infinity": -math.inf,
    "complex": 1j,
    "no text": "",
    "spaces": "   ",
    "another word": "nobody knows this one",
    "half a character": "a\ud800b",
    "a zero byte": "a\0b",
    "a line break": "a\nb\r\n",
    "long text": "x" * 100_000,
    "percent signs": "%" * 100_000,
    "folders": "a/" * 50_000,
    "4,000 folders": "a/" * 4_000,
    "a long folder": f"{'s' * 300}/a",
    "up and out": "../../etc/passwd",
    "a device": "con/nul.safetensors",
    "a pattern without end": "[" * 5_000,
    "bytes": b"bytes",
    "a list": [],
    "a list of things": ["1", 0, None],
    "a tuple": (True, ["/nowhere/a.mp4"]),
    "a pair with an odd second": (True, 5),
    "a dict": {},
    "a dict of things": {"a": {"b": object()}, 5: None},
    "a set": {1, 2},
    "deep lists": nested(5_000, lambda value: [value]),
    "deep dicts": nested(5_000, lambda value: {"a": value}),
    "a deep prompt": {"3": {"class_type": "X", "inputs": {"seed": nested(5_000, lambda value: [value])}}},
    "an object": Stranger(),
    "a class": Stranger,
    "a function": nested,
    "a number of numpy": np.int64(3),
    "nothing of numpy": np.zeros(0),
    "an array": np.zeros((1, 16, 16, 3), np.float32),
    "an array of objects": np.array([None, "a"], dtype=object),
    "an empty tensor": torch.zeros(0),
    "no pictures": torch.zeros((0, 16, 16, 3)),
    "a picture without height": torch.zeros((1, 0, 16, 3)),
    "one number": torch.tensor(1.0),
    "one picture without its batch": torch.zeros((16, 16, 3)),
    "two channels": torch.zeros((1, 16, 16, 2)),
    "seven channels": torch.zeros((1, 16, 16, 7)),
    "five dimensions": torch.zeros((1, 1, 16, 16, 3)),
    "whole numbers": torch.zeros((1, 16, 16, 3), dtype=torch.int64),
    "truths": torch.zeros((1, 16, 16, 3), dtype=torch.bool),
    "complex numbers": torch.zeros((1, 16, 16, 3), dtype=torch.complex64),
    "a picture of nan": torch.full((1, 16, 16, 3), math.nan),
    "a picture of infinities": torch.full((1, 16, 16, 3), math.inf),
    "pictures without content": torch.zeros((1, 16, 16, 3), device="meta"),
    "sparse pictures": torch.zeros((1, 16, 16, 3)).to_sparse(),
    "a waveform alone": {"waveform": torch.zeros((1, 1, 64))},
    "a rate alone": {"sample_rate": 8000},
    "a sound of lists": sound(waveform=[[[0.0, "a"]]]),
    "a sound of nan": sound(waveform=torch.full((1, 1, 64), math.nan)),
    "a sound without samples": sound(waveform=torch.zeros((1, 1, 0))),
    "a sound of complex numbers": sound(waveform=torch.zeros((1, 1, 64), dtype=torch.complex64)),
    "a sound without content": sound(waveform=torch.zeros((1, 1, 64), device="meta")),
    "a sound of 300 channels": sound(waveform=torch.zeros((1, 300, 64))),
    "a rate of zero": sound(sample_rate=0),
    "a rate below zero": sound(sample_rate=-8000),
    "a rate of nan": sound(sample_rate=math.nan),
    "a huge rate": sound(sample_rate=10**30),
    "an odd rate": sound(sample_rate=1_234_567_890),
    "a film": Film(),
    "a film of nothing": Film(images=None),
    "a film without pictures": Film(images=torch.zeros((0, 16, 16, 3))),
    "a film of lists": Film(images=[[[[0.0]]]]),
    "a film of seven channels": Film(images=torch.zeros((2, 16, 16, 7))),
    "a film of flat pictures": Film(images=torch.zeros((2, 16, 16))),
    "a film of whole numbers": Film(images=torch.zeros((2, 16, 16, 3), dtype=torch.int64)),
    "a film without content": Film(images=torch.zeros((2, 16, 16, 3), device="meta")),
    "a film of odd sound": Film(audio={"waveform": "x"}),
    "a film with words for a rate": Film(frame_rate="fast"),
    "a film of rate zero": Film(frame_rate=0),
    "a film of rate nan": Film(frame_rate=math.nan),
    "a film of a huge rate": Film(frame_rate=10**30),
    "a film of an endless rate": Film(frame_rate=10**5000),
    "a film without a rate": Film(frame_rate=None),
    "a latent of half numbers": {"samples": torch.zeros((1, 4, 8, 8), dtype=torch.float16)},
    "a latent of nothing": {"samples": None},
    "a latent of lists": {"samples": [[0.0]]},
    "a latent without numbers": {"samples": torch.zeros((0, 4, 8, 8))},
    "a latent without content": {"samples": torch.zeros((1, 4, 8, 8), device="meta")},
    "a sparse latent": {"samples": torch.zeros((1, 4, 8, 8)).to_sparse()},
    "a latent of complex numbers": {"samples": torch.zeros((1, 4, 8, 8), dtype=torch.complex64)},
    "a latent with odd keys": {"samples": torch.zeros((1, 4, 8, 8)), 5: 5, "\ud800": 1, "x" * 999: object()},
    "a latent of one tensor twice": dict.fromkeys(("samples", "noise_mask"), torch.zeros((1, 4, 8, 8))),
    "an object like a film": type("Like", (), {"get_components": lambda self: None})(),
}

NODES = cloud_storage.NODE_CLASS_MAPPINGS


def inputs_of(node_id):
    declared = NODES[node_id].INPUT_TYPES()
    return [name for part in ("required", "optional", "hidden") for name in declared.get(part, {})]


@pytest.fixture(scope="module")
def bucket(servers, tmp_path_factory):
    return make_place("oss-http", servers, tmp_path_factory.mktemp("user") / "profiles.json")


@pytest.fixture
def right(comfyui, bucket, monkeypatch, tmp_path):
    """Values that each node works with, by input; the bucket has an object for each node that reads."""
    from cloud_storage.storage import connect

    monkeypatch.setattr(is_changed, "_memories", {})
    for name, value in bucket.settings({"path_prefix": own_prefix()}).items():
        monkeypatch.setenv(name, value)
    store = connect.connect(connect.resolve("", {}, folders.profiles_file()))
    picture = image_encoder.encode(torch.zeros((16, 16, 3)), "png").data
    for key in ("in/a.png", "in/loras/a.safetensors"):
        store.put(key, picture, base.PutOptions(), Meter())
    latent = latent_file.encode({"samples": torch.zeros((1, 4, 8, 8))}, None)[0]
    for key, data in (("in/a.txt", b"text"), ("in/a.latent", latent)):
        store.put(key, data, base.PutOptions(), Meter())
    (tmp_path / "output" / "a.txt").write_bytes(b"text")
    lora = tmp_path / "models" / "loras" / "b.safetensors"
    lora.parent.mkdir(parents=True, exist_ok=True)
    lora.write_bytes(b"model")
    film = VideoFromComponents(VideoComponents(images=torch.zeros((2, 16, 16, 3)), audio=None, frame_rate=8))
    return {
        "images": torch.zeros((1, 16, 16, 3)),
        "video": film,
        "audio": sound(),
        "samples": {"samples": torch.zeros((1, 4, 8, 8))},
        "text": "text",
        "file": "output/a.txt",
        "prefix": "in/",
        "folder": "input",
        "SyncFolderWithCloud.folder": "output/in",
        "model_type": "loras",
        "model": "b.safetensors",
        "key": "in/a.png",
        "LoadModelFromCloud.key": "in/loras/a.safetensors",
        "LoadTextFromCloud.key": "in/a.txt",
        "LoadLatentFromCloud.key": "in/a.latent",
    }


def given(node_id, right, name, value):
    found = {}
    for one in inputs_of(node_id):
        if f"{node_id}.{one}" in right or one in right:
            found[one] = right.get(f"{node_id}.{one}", right.get(one))
    if node_id == "SaveVideoToCloud" and name != "video":
        found["video"] = right["video"]
    return {**found, name: value}


def raw(error):
    return f"{type(error).__module__}.{type(error).__qualname__}: {str(error)[:150]}"


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("node_id", NODES)
def test_a_wrong_value_ends_in_a_plain_error_or_in_none(right, node_id):
    found = []
    for name in inputs_of(node_id):
        for words, value in WRONG.items():
            try:
                run_node(node_id, **given(node_id, right, name, value))
            except PLAIN as error:
                said = str(error)
                if not said.isprintable() or len(said) > 12_000 or len(said) < 20:
                    found.append(f"{name}, {words}: the message is {said[:100]!r}")
            except Exception as error:  # noqa: BLE001  what is looked for
                found.append(f"{name}, {words}: {raw(error)}")
    assert not found, "\n".join(found)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("node_id", NODES)
@pytest.mark.parametrize("question", ["IS_CHANGED", "VALIDATE_INPUTS"])
def test_no_question_of_comfyui_raises(right, node_id, question):
    asked = getattr(NODES[node_id], question, None)
    if asked is None:
        pytest.skip("is not asked of this node")
    known = asked.__func__.__code__.co_varnames if question == "VALIDATE_INPUTS" else inputs_of(node_id)
    found = []
    for name in set(inputs_of(node_id)) & set(known):
        for words, value in WRONG.items():
            values = given(node_id, right, name, value)
            if question == "VALIDATE_INPUTS":
                values = {name: value}
            try:
                asked(**values)
            except Exception as error:  # noqa: BLE001  what is looked for
                found.append(f"{name}, {words}: {raw(error)}")
    assert not found, "\n".join(found)
