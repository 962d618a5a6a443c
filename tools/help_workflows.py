"""The small workflows that are pictured on the nodes' pages of help: a table, one row per node.

``tools/pictures.py`` puts each on ComfyUI's page, runs it, and takes its picture.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Node:
    """A node: what it is, the column it stands in, and its inputs: a value, or another node's name and the
    number of one of its outputs. ``height`` in pixels, where it needs more room than it takes by itself.
    """

    kind: str
    column: int
    inputs: Mapping[str, Any] = field(default_factory=dict)
    height: int = 0


@dataclass(frozen=True)
class Small:
    """A small workflow by the names of its nodes; in each column they stand in this order.

    With ``unplugged`` it runs once while the server is away, and then again. After the run a button is
    ``pressed``: of a node's number, by its widget's name.
    """

    nodes: Mapping[str, Node]
    unplugged: bool = False
    pressed: tuple[int, str] | None = None

    def prompt(self) -> dict[str, Any]:
        """In the form of ComfyUI's API; nodes are numbered from 1."""
        numbers = {name: str(number) for number, name in enumerate(self.nodes, 1)}

        def given(value: object) -> object:
            return [numbers[value[0]], value[1]] if isinstance(value, tuple) else value

        return {
            numbers[name]: {
                "class_type": node.kind,
                "inputs": {key: given(value) for key, value in node.inputs.items()},
            }
            for name, node in self.nodes.items()
        }


PROFILE = Node("CloudStorageProfile", 0)
WIRED = {"profile": ("profile", 0)}
PICTURE = Node("LoadImage", 0, {"image": "dusk.png"}, 320)
KEY = "comfyui/images/ComfyUI_00002.png"
WITH_PICTURE = 420  # pixels that a node needs which shows a picture of what it loads
TEST = (1, "test_connection")
TESTED = Node("CloudStorageProfile", 0, height=450)  # with room for what Test connection says


def _load(kind: str, inputs: Mapping[str, Any], height: int = 0, **then: Node) -> Small:
    return Small({"profile": PROFILE, "load": Node(kind, 0, {**inputs, **WIRED}, height), **then})


def _preview(output: int = 0, height: int = 300) -> Node:
    return Node("PreviewImage", 1, {"images": ("load", output)}, height)


SMALL_WORKFLOWS = {
    "CloudStorageProfile": Small(
        {
            "profile": TESTED,
            "load": Node("LoadImageFromCloud", 1, {"key": KEY, **WIRED}, WITH_PICTURE),
            "seen": Node("PreviewImage", 1, {"images": ("load", 0)}, 300),
        },
        pressed=TEST,
    ),
    "TestCloudConnection": Small(
        {"profile": TESTED, "test": Node("TestCloudConnection", 1, WIRED, 450)}, pressed=TEST
    ),
    "SaveImageToCloud": Small(
        {
            "profile": PROFILE,
            "made": PICTURE,
            "save": Node(
                "SaveImageToCloud", 1, {"images": ("made", 0), "filename": "dusk_%counter%", **WIRED}, 640
            ),
        }
    ),
    "SaveVideoToCloud": Small(
        {
            "profile": PROFILE,
            "made": Node("LoadVideo", 0, {"file": "sunset.mp4"}, 330),
            "save": Node(
                "SaveVideoToCloud", 1, {"video": ("made", 0), "filename": "sunset_%counter%", **WIRED}, 640
            ),
        }
    ),
    "SaveAudioToCloud": Small(
        {
            "profile": PROFILE,
            "made": Node("LoadAudio", 0, {"audio": "chord.wav"}),
            "save": Node(
                "SaveAudioToCloud", 1, {"audio": ("made", 0), "filename": "chord_%counter%", **WIRED}
            ),
        }
    ),
    "RetryPendingUploads": Small(
        {
            "profile": PROFILE,
            "made": PICTURE,
            "save": Node(
                "SaveImageToCloud",
                1,
                {
                    "images": ("made", 0),
                    "filename": "offline_%counter%",
                    "on_failure": "keep and go on",
                    **WIRED,
                },
                560,
            ),
            "retry": Node("RetryPendingUploads", 2, WIRED),
        },
        unplugged=True,
    ),
    "UploadFileToCloud": Small(
        {
            "profile": PROFILE,
            "upload": Node("UploadFileToCloud", 1, {"file": "sunset.mp4", **WIRED}),
        }
    ),
    "DownloadFileFromCloud": _load(
        "DownloadFileFromCloud",
        {"key": "comfyui/videos/sunset.mp4", "folder": "output", "subfolder": "films"},
        seen=Node("PreviewAny", 1, {"source": ("load", 1)}, 140),
    ),
    "SyncFolderWithCloud": Small(
        {
            "profile": PROFILE,
            "sync": Node(
                "SyncFolderWithCloud",
                1,
                {
                    "direction": "download",
                    "folder": "input/pictures",
                    "prefix": "comfyui/images/",
                    "pattern": "*.png",
                    **WIRED,
                },
                560,
            ),
        }
    ),
    "SaveTextToCloud": Small(
        {
            "profile": PROFILE,
            "save": Node(
                "SaveTextToCloud",
                1,
                {"text": "a lighthouse on a cliff at dusk", "filename": "prompt_%counter%", **WIRED},
                560,
            ),
        }
    ),
    "LoadTextFromCloud": _load(
        "LoadTextFromCloud",
        {"key": "comfyui/text/prompt.txt"},
        seen=Node("PreviewAny", 1, {"source": ("load", 0)}, 160),
    ),
    "SaveLatentToCloud": Small(
        {
            "profile": PROFILE,
            "made": Node("EmptyLatentImage", 0, {"width": 512, "height": 512, "batch_size": 1}),
            "save": Node("SaveLatentToCloud", 1, {"samples": ("made", 0), **WIRED}),
        }
    ),
    "LoadLatentFromCloud": _load(
        "LoadLatentFromCloud",
        {"key": "comfyui/latents/sketch.latent"},
        scaled=Node("LatentUpscaleBy", 1, {"samples": ("load", 0), "scale_by": 1.5}),
        save=Node(
            "SaveLatentToCloud", 1, {"samples": ("scaled", 0), "filename": "larger_%counter%", **WIRED}
        ),
    ),
    "UploadModelToCloud": Small(
        {
            "profile": PROFILE,
            "upload": Node(
                "UploadModelToCloud", 1, {"model_type": "loras", "model": "team-style.safetensors", **WIRED}
            ),
        }
    ),
    "LoadImageFromCloud": _load(
        "LoadImageFromCloud",
        {"key": KEY},
        WITH_PICTURE,
        seen=_preview(),
        mask=Node("MaskPreview", 1, {"mask": ("load", 1)}, 300),
    ),
    "LoadMaskFromCloud": _load(
        "LoadMaskFromCloud",
        {"key": KEY, "channel": "alpha"},
        WITH_PICTURE,
        mask=Node("MaskPreview", 1, {"mask": ("load", 0)}, 330),
    ),
    "LoadImagesFromCloud": _load(
        "LoadImagesFromCloud",
        {"prefix": "comfyui/images/", "pattern": "ComfyUI_*.png", "limit": 6},
        seen=_preview(height=420),
    ),
    "LoadVideoFromCloud": _load(
        "LoadVideoFromCloud",
        {
            "key": "comfyui/videos/sunset.mp4",
            "force_rate": 4,
            "skip_first_frames": 4,
            "frame_load_cap": 6,
        },
        720,
        seen=_preview(height=420),
        sound=Node("PreviewAudio", 1, {"audio": ("load", 2)}),
    ),
    "LoadAudioFromCloud": _load(
        "LoadAudioFromCloud",
        {"key": "comfyui/audio/chord.wav", "start_seconds": 0.5, "duration_seconds": 1.0},
        heard=Node("PreviewAudio", 1, {"audio": ("load", 0)}),
    ),
    "LoadModelFromCloud": _load(
        "LoadModelFromCloud",
        {"model_type": "loras", "key": "models/loras/ink-lines.safetensors"},
        loader=Node("LoraLoaderModelOnly", 1, {"lora_name": ("load", 0)}),
    ),
    "ListBucketContents": Small(
        {
            "profile": PROFILE,
            "list": Node(
                "ListBucketContents",
                0,
                {"prefix": "comfyui/images/", "pattern": "ComfyUI_0000[1-4].png", **WIRED},
            ),
            "load": Node("LoadImageFromCloud", 1, {"key": ("list", 1), **WIRED}, WITH_PICTURE + 120),
            "seen": Node("PreviewImage", 1, {"images": ("load", 0)}, 290),
        }
    ),
    "GeneratePresignedURL": Small(
        {
            "profile": PROFILE,
            "share": Node("GeneratePresignedURL", 1, {"key": KEY, "expires_hours": 24, **WIRED}),
        }
    ),
}
