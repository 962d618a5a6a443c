"""Which files count as copies: those with a record that fits, in any folder of models."""

from __future__ import annotations

import os

import pytest
from cloud_storage.library import copies
from cloud_storage.loading import model_record
from cloud_storage.loading.download_journal import journal_of
from cloud_storage.loading.model_record import Record
from cloud_storage.system.file_fingerprint import Fingerprint


@pytest.fixture
def put(comfyui, tmp_path):
    def put(name, used=1000, content=b"copy"):
        path = tmp_path / "models" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        model_record.write(path, Record("b", f"models/{name}", '"e"', "", Fingerprint.of(path)))
        os.utime(model_record.record_path(path), (used, used))
        return path

    return put


def test_copies_come_least_recently_used_first(put):
    put("loras/style/a.safetensors", 3000)
    put("unet/b.safetensors", 1000)
    put("diffusion_models/c.safetensors", 2000)
    found = copies.scan()
    assert [(one.folder_type, one.name) for one in found.copies] == [
        ("diffusion_models", "b.safetensors"),
        ("diffusion_models", "c.safetensors"),
        ("loras", f"style{os.sep}a.safetensors"),
    ]
    assert found.copies[0].size == 4


def test_what_was_changed_or_has_no_record_or_is_gone_is_no_copy(put, tmp_path):
    put("loras/changed.safetensors").write_bytes(b"another content")
    put("loras/gone.safetensors").unlink()
    model_record.record_path(put("loras/own.safetensors")).unlink()
    model_record.record_path(put("loras/damaged.safetensors")).write_text("{")
    assert not copies.scan().copies


def test_unfinished_downloads_are_those_with_a_journal(put, tmp_path):
    folder = put("loras/a.safetensors").parent
    for name in ("b.safetensors.part", "theirs.part"):
        (folder / name).write_bytes(b"part")
    journal_of(folder / "b.safetensors.part").write_text("{}")
    assert [path.name for path in copies.scan().parts] == ["b.safetensors.part"]


def test_a_use_is_the_time_of_the_record(put, tmp_path):
    path = put("loras/a.safetensors", 1000)
    copies.note_use(path)
    assert copies.scan().copies[0].last_used.timestamp() > 1000
    copies.note_use(tmp_path / "models" / "no such file")
