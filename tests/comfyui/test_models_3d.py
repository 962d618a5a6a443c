from __future__ import annotations

import sys
import types
from io import BytesIO
from pathlib import Path

import pytest
import torch
from cloud_storage import errors
from cloud_storage.comfyui import models_3d


class File3D:
    """As comfy_api/latest/_util/geometry_types.py of core 0.33 has it."""

    def __init__(self, source, file_format=""):
        self._source, self.format = source, file_format

    @property
    def is_disk_backed(self):
        return isinstance(self._source, str)

    def get_source(self):
        return self._source

    def get_bytes(self):
        self._source.seek(0)
        return self._source.read()


class Mesh:
    def __init__(self, count=2):
        self.vertices, self.faces = torch.rand(count, 4, 3), torch.zeros(count, 2, 3, dtype=torch.int64)


def writer(monkeypatch, name, **functions):
    module = types.ModuleType(f"comfy_extras.{name}")
    vars(module).update(functions)
    monkeypatch.setitem(sys.modules, "comfy_extras", types.ModuleType("comfy_extras"))
    monkeypatch.setitem(sys.modules, f"comfy_extras.{name}", module)


def test_a_file_in_memory_is_its_bytes():
    given = File3D(BytesIO(b"glTF"), "GLB")
    models = models_3d.models_of(given, None)
    assert (models.extension, models.count, models.media_type) == ("glb", 1, "model/gltf-binary")
    assert [models.encode(0), models.encode(0)] == [b"glTF", b"glTF"]
    assert models_3d.path_of(given) is None
    assert models_3d.models_of(File3D(BytesIO(b"x"), ""), None).extension == "glb"
    assert models_3d.models_of(File3D(BytesIO(b"x"), "ply"), None).media_type == "application/octet-stream"


def test_a_file_on_disk_is_its_path():
    assert models_3d.path_of(File3D("/srv/input/3d/a.glb", "glb")) == "/srv/input/3d/a.glb"
    for other in ("output/a.glb", (True, ["a.mp4"]), None, Mesh(), torch.zeros(1)):
        assert models_3d.path_of(other) is None


def test_each_mesh_of_a_batch_is_a_file_with_the_workflow(monkeypatch):
    mesh = Mesh()

    def mesh_item_to_glb_bytes(given, index, metadata):
        assert given is mesh
        return f"{index} {metadata['prompt']}".encode()

    writer(monkeypatch, "nodes_save_3d", mesh_item_to_glb_bytes=mesh_item_to_glb_bytes)
    models = models_3d.models_of(mesh, {"prompt": "{}"})
    assert (models.extension, models.count) == ("glb", 2)
    assert [models.encode(number) for number in range(2)] == [b"0 {}", b"1 {}"]


def test_the_writer_of_the_old_core_makes_a_file_that_is_removed(comfyui, monkeypatch, tmp_path):
    def save_glb(vertices, faces, path, metadata):
        Path(path).write_bytes(bytes([len(vertices), len(faces), len(metadata)]))

    writer(monkeypatch, "nodes_hunyuan3d", save_glb=save_glb)
    assert models_3d.models_of(Mesh(), None).encode(1) == bytes([4, 2, 0])
    assert not [path for path in (tmp_path / "temp").rglob("*") if path.is_file()]


def test_what_cannot_be_written_is_told_and_other_values_are_left_alone(monkeypatch):
    writer(monkeypatch, "nodes_save_3d", mesh_item_to_glb_bytes=lambda *_: None)
    with pytest.raises(errors.MediaError, match="the mesh is empty"):
        models_3d.models_of(Mesh(), None).encode(0)
    writer(monkeypatch, "nodes_save_3d", mesh_item_to_glb_bytes=lambda *_: 1 / 0)
    with pytest.raises(errors.MediaError, match=r"cannot be written as a file \(ZeroDivisionError\)"):
        models_3d.models_of(Mesh(), None).encode(0)
    with pytest.raises(errors.MediaError, match="the mesh is empty"):
        models_3d.models_of(Mesh(0), None)
    with pytest.raises(errors.MediaError, match="no extension of a 3D model"):
        models_3d.models_of(File3D(BytesIO(b"x"), "../x"), None)
    for other in ("output/a.glb", (True, ["a.mp4"]), None, torch.zeros(1), object(), {}):
        assert models_3d.models_of(other, None) is None
