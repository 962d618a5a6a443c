"""3D models that are wired to a node: ComfyUI's File3D of core 0.33, and its MESH, as the bytes of files."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import DISK_ADVICE, MediaError, disk_errors, sentence
from .folders import TEMP, temp_folder

# The types of such wires: comfy_api/latest/_io.py of core 0.33. Older cores have MESH alone.
TYPES = (
    *("MESH", "FILE_3D", "FILE_3D_GLB", "FILE_3D_GLTF", "FILE_3D_FBX", "FILE_3D_OBJ", "FILE_3D_STL"),
    *("FILE_3D_USDZ", "FILE_3D_PLY", "FILE_3D_SPLAT", "FILE_3D_SPZ", "FILE_3D_KSPLAT"),
    *("FILE_3D_SPLAT_ANY", "FILE_3D_POINT_CLOUD_ANY"),
)
MESH_EXTENSION = "glb"
MEDIA_TYPES = {
    "glb": "model/gltf-binary",
    "gltf": "model/gltf+json",
    "obj": "model/obj",
    "stl": "model/stl",
    "usdz": "model/vnd.usdz+zip",
}
_EXTENSION = re.compile(r"[a-z0-9]{1,8}")
_CHECK = "Check the node that is wired to file."


@dataclass(frozen=True)
class Models3D:
    """``count`` files to be made, each by ``encode(number)``, with the same extension."""

    extension: str
    count: int
    encode: Callable[[int], bytes]

    @property
    def media_type(self) -> str:
        return MEDIA_TYPES.get(self.extension, "application/octet-stream")


def path_of(value: Any) -> str | None:  # noqa: ANN401  whatever is wired
    """The path of a File3D that is a file on disk; None for anything else."""
    if not _is_file(value) or not value.is_disk_backed:
        return None
    source = value.get_source()
    return source if isinstance(source, str) else None


def models_of(value: Any, texts: Mapping[str, str] | None) -> Models3D | None:  # noqa: ANN401
    """The files of a File3D in memory, or of a MESH: one for each item of its batch. None for other values.

    ``texts`` are the prompt and the workflow, which a mesh's file holds as those of core's Save 3D Model do.
    Raises MediaError for an empty batch; ``encode`` raises it for what cannot be written.
    """
    if _is_file(value):
        extension = str(value.format or MESH_EXTENSION).lower()
        if not _EXTENSION.fullmatch(extension):
            raise _refusal(f"{extension[:40]!r} is no extension of a 3D model")
        return Models3D(extension, 1, lambda _number: _said(value.get_bytes))
    if _is_mesh(value):
        count = len(value.vertices)
        if not count:
            raise _refusal("the mesh is empty")
        return Models3D(MESH_EXTENSION, count, lambda number: _said(lambda: _glb(value, number, texts)))
    return None


def _is_file(value: object) -> bool:
    return all(hasattr(value, name) for name in ("format", "is_disk_backed", "get_source", "get_bytes"))


def _is_mesh(value: object) -> bool:
    parts = [getattr(value, name, None) for name in ("vertices", "faces")]
    return all(isinstance(part, Sequence) or hasattr(part, "ndim") for part in parts)


def _said(encode: Callable[[], bytes | None]) -> bytes:
    """What ``encode`` returns; its errors, which may be any, as MediaError."""
    try:
        data = encode()
    except Exception as error:  # of core, of numpy, of torch: the mesh is not one that can be written
        raise _refusal(f"it cannot be written as a file ({type(error).__name__})") from error
    if not isinstance(data, bytes) or not data:
        raise _refusal("the mesh is empty")
    return data


def _glb(mesh: Any, number: int, texts: Mapping[str, str] | None) -> bytes | None:  # noqa: ANN401
    """One item of a MESH as GLB, by ComfyUI's own writer."""
    metadata = dict(texts or {})
    try:
        from comfy_extras.nodes_save_3d import mesh_item_to_glb_bytes
    except ImportError:
        return _glb_of_old_core(mesh, number, metadata)
    data: bytes | None = mesh_item_to_glb_bytes(mesh, number, metadata)
    return data


def _glb_of_old_core(mesh: Any, number: int, metadata: dict[str, str]) -> bytes:  # noqa: ANN401
    """The same on core 0.3.64, whose writer makes a file."""
    from comfy_extras.nodes_hunyuan3d import save_glb

    path = temp_folder() / f"{uuid.uuid4().hex}.{MESH_EXTENSION}"
    with disk_errors("write a file", TEMP, DISK_ADVICE):
        try:
            save_glb(mesh.vertices[number], mesh.faces[number], str(path), metadata)
            return Path(path).read_bytes()
        finally:
            path.unlink(missing_ok=True)


def _refusal(said: str) -> MediaError:
    return MediaError(sentence("upload the 3D model", "its input", said, _CHECK))
