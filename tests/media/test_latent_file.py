from __future__ import annotations

import json

import pytest
import torch
from cloud_storage import errors
from cloud_storage.media import latent_file
from safetensors.torch import load_file, save_file

SAMPLES = torch.randn(2, 4, 8, 6)
TEXTS = {"prompt": '{"1": {}}', "workflow": "{}"}


def written(tmp_path, latent, texts=None):
    data, notes = latent_file.encode(latent, texts)
    (tmp_path / "a.latent").write_bytes(data)
    return tmp_path / "a.latent", notes


def as_core_writes(path, samples, metadata):
    """What Save Latent does with a LATENT (nodes.py, save), by the same library."""
    tensors = {"latent_tensor": samples.contiguous(), "latent_format_version_0": torch.tensor([])}
    save_file(tensors, str(path), metadata=metadata)
    return path


def parts(path):
    """The header and the bytes of the tensors: safetensors writes the metadata in another order each time."""
    data = path.read_bytes()
    end = 8 + int.from_bytes(data[:8], "little")
    return len(data), json.loads(data[8:end]), data[end:]


def as_core_reads(path):
    """What Load Latent does (nodes.py, load)."""
    found = load_file(str(path), device="cpu")
    multiplier = 1.0 if "latent_format_version_0" in found else 1.0 / 0.18215
    return found["latent_tensor"].float() * multiplier


@pytest.mark.parametrize("metadata", [None, TEXTS, {"prompt": ""}])
@pytest.mark.parametrize("samples", [SAMPLES, SAMPLES.half(), SAMPLES.transpose(2, 3)])
def test_the_file_is_the_one_that_core_writes(tmp_path, samples, metadata):
    path, notes = written(tmp_path, {"samples": samples}, metadata)
    theirs = as_core_writes(tmp_path / "core.latent", samples, metadata)
    assert parts(path) == parts(theirs)
    assert notes == ()
    assert torch.equal(latent_file.decode(theirs, "a")["samples"], as_core_reads(theirs))


def test_a_file_without_the_marker_has_old_numbers(tmp_path):
    save_file({"latent_tensor": SAMPLES}, str(tmp_path / "old.latent"))
    found = latent_file.decode(tmp_path / "old.latent", "old")
    assert torch.equal(found["samples"], as_core_reads(tmp_path / "old.latent"))
    assert not torch.equal(found["samples"], SAMPLES)


def test_every_key_of_the_latent_comes_back_and_core_overlooks_them(tmp_path):
    mask = torch.rand(1, 64, 48) > 0.5
    latent = {
        "samples": SAMPLES,
        "noise_mask": mask,
        "batch_index": [3, 7],
        "type": "audio",
        "same": SAMPLES,
        "none": None,
    }
    path, notes = written(tmp_path, latent, TEXTS)
    assert notes == ()
    found = latent_file.decode(path, "a")
    assert found.keys() == latent.keys()
    assert torch.equal(found["noise_mask"], mask)
    assert found["noise_mask"].dtype == torch.bool
    assert torch.equal(found["same"], SAMPLES)
    assert (found["batch_index"], found["type"], found["none"]) == ([3, 7], "audio", None)
    assert torch.equal(found["samples"], as_core_reads(path))


def test_what_a_file_cannot_hold_is_named_and_left_out(tmp_path):
    latent = {"samples": SAMPLES, "hook": object(), 5: "five", "latent_tensor": SAMPLES, "nan": float("nan")}
    path, notes = written(tmp_path, latent)
    assert [note.split()[0] for note in notes] == ["'hook'", "'5'", "'latent_tensor'", "'nan'"]
    assert latent_file.decode(path, "a").keys() == {"samples"}


class Nested:
    """As comfy.nested_tensor of core 0.33 has it."""

    is_nested = True

    def __init__(self, tensors):
        self.tensors = list(tensors)

    def unbind(self):
        return self.tensors

    def float(self):
        return Nested([tensor.float() for tensor in self.tensors])

    def __mul__(self, factor):
        return Nested([tensor * factor for tensor in self.tensors])


def test_a_latent_of_several_parts_comes_back_where_the_core_knows_such(tmp_path):
    parts = [torch.randn(1, 8, 2, 4, 4), torch.randn(1, 8, 5)]
    path, notes = written(tmp_path, {"samples": Nested(parts), "noise_mask": Nested(parts[::-1])})
    assert notes == ()
    found = latent_file.decode(path, "a", Nested)
    assert all(map(torch.equal, found["samples"].unbind(), parts))
    assert all(map(torch.equal, found["noise_mask"].unbind(), parts[::-1]))
    with pytest.raises(errors.Unreadable, match="knows no latent of 2 parts"):
        latent_file.decode(path, "a")


@pytest.mark.parametrize(
    "samples",
    [
        None,
        [1.0],
        torch.zeros(1, device="meta"),
        torch.zeros(2, 2).to_sparse(),
    ],
)
def test_samples_that_no_file_can_hold_are_refused(samples):
    with pytest.raises(errors.MediaError, match="save the latent"):
        latent_file.encode({"samples": samples}, None)


def test_what_is_no_latent_is_refused(tmp_path):
    whole = written(tmp_path, {"samples": SAMPLES}, TEXTS)[0].read_bytes()
    save_file({"weight": SAMPLES}, str(tmp_path / "model"))
    for data in (b"", b"text", whole[:100], whole[:-1], (tmp_path / "model").read_bytes()):
        (tmp_path / "b").write_bytes(data)
        with pytest.raises(errors.Unreadable, match="load the latent"):
            latent_file.decode(tmp_path / "b", "b")


@pytest.mark.parametrize(
    "said",
    [
        "",
        "[]",
        "5",
        "{",
        '{"values": 5}',
        '{"nested": {"samples": "x"}}',
        json.dumps({"nested": {"a": 10**9}}),
    ],
)
def test_metadata_that_somebody_made_up_breaks_nothing(tmp_path, said):
    path = as_core_writes(tmp_path / "a", SAMPLES, {latent_file.OTHERS: said})
    assert latent_file.decode(path, "a").keys() == {"samples"}


def test_values_of_the_metadata_never_replace_the_tensors(tmp_path):
    said = json.dumps({"values": {"samples": "x", "noise_mask": "y"}})
    path = tmp_path / "a"
    tensors = {
        "latent_tensor": SAMPLES,
        "noise_mask": SAMPLES.clone(),
        "latent_format_version_0": torch.tensor([]),
    }
    save_file(tensors, str(path), metadata={latent_file.OTHERS: said})
    found = latent_file.decode(path, "a")
    assert torch.equal(found["samples"], SAMPLES)
    assert torch.equal(found["noise_mask"], SAMPLES)
