"""Reads files with this package and with a reference, in a process of its own, and prints what came of each.

    python compare.py NODE < names of files, one a line

NODE is image, audio or video. The reference is ComfyUI's own node where COMFYUI_PATH names a check-out (whose
Python has to run this), else Pillow as ComfyUI 0.3.64 uses it, or FFmpeg. A line of JSON for each file: its
path, the verdict, and words on it. Before each file its path alone is printed: of a process that crashed, the
last one is the cause.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

ROOT = Path(__file__).resolve().parents[2]
FREE_BYTES = 1 << 30  # what a test may take; some files would fill a machine
FRAMES = 40  # of a film, that are compared

Outcome = tuple[npt.NDArray[Any], ...]  # what was loaded


def load_package() -> None:
    """Load this package by path, as ComfyUI does."""
    spec = importlib.util.spec_from_file_location(
        "cloud_storage", ROOT / "__init__.py", submodule_search_locations=[str(ROOT)]
    )
    assert spec is not None
    sys.modules["cloud_storage"] = importlib.util.module_from_spec(spec)


def enter_comfyui() -> Any:
    """Import ComfyUI where there is one, else the stand-in's folder goes onto the path."""
    core = os.environ.get("COMFYUI_PATH")
    sys.path.append(core or str(ROOT / "tests" / "stand_in"))
    if not core:
        return None
    sys.argv = ["main.py", "--cpu"]
    import comfy.options  # type: ignore[import-not-found]

    comfy.options.enable_args_parsing()
    import nodes  # type: ignore[import-not-found]

    return nodes


# --- Images ------------------------------------------------------------------------------------------------


def image_here(path: Path) -> Outcome:
    from cloud_storage.comfyui import video
    from cloud_storage.media.image import image_decoder  # type: ignore[import-not-found]

    file = image_decoder.ImageFile(path, path.name, video.image_reader(path), None, lambda: FREE_BYTES)
    image, mask = file.decode()
    return image.numpy(), mask.numpy()


def image_there(nodes: Any, path: Path) -> Outcome:
    if nodes is None:
        return _as_load_image(path)
    import folder_paths  # type: ignore[import-not-found]

    folder_paths.set_input_directory(str(path.parent))
    image, mask = nodes.LoadImage().load_image(path.name)
    return image.numpy(), _mask_of(image.numpy(), mask.numpy())


def _mask_of(images: npt.NDArray[Any], masks: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """ComfyUI's 64 x 64 zeros stand for "no alpha"."""
    stands = masks.shape[1:] == (64, 64) != images.shape[1:3] and not masks.any()
    return np.zeros(images.shape[:3], np.float32) if stands else masks


def _as_load_image(path: Path) -> Outcome:
    """What LoadImage of ComfyUI 0.3.64 gives, retold."""
    from PIL import Image, ImageFile, ImageOps, ImageSequence

    def forgiving(function: Callable[[Any], Any], argument: Any) -> Any:
        try:
            return function(argument)
        except (OSError, ValueError):
            ImageFile.LOAD_TRUNCATED_IMAGES = True
            return function(argument)
        finally:
            ImageFile.LOAD_TRUNCATED_IMAGES = False

    images, masks, size = [], [], None
    file = forgiving(Image.open, path)
    for raw in ImageSequence.Iterator(file):
        frame = forgiving(ImageOps.exif_transpose, raw)
        colours = frame.point(lambda value: value * (1 / 255)) if frame.mode == "I" else frame
        colours = colours.convert("RGB")
        size = size or frame.size
        if frame.size != size:
            continue
        images.append(np.array(colours).astype(np.float32) / 255.0)
        if "A" in frame.getbands():
            masks.append(1.0 - np.array(frame.getchannel("A")).astype(np.float32) / 255.0)
        elif frame.mode == "P" and "transparency" in frame.info:
            alpha = frame.convert("RGBA").getchannel("A")
            masks.append(1.0 - np.array(alpha).astype(np.float32) / 255.0)
        else:
            masks.append(np.zeros(images[-1].shape[:2], np.float32))
    count = 1 if file.format == "MPO" else len(images)
    return np.stack(images[:count]), np.stack(masks[:count])


# --- Sound and films ---------------------------------------------------------------------------------------


def audio_here(path: Path) -> Outcome:
    from cloud_storage.media.audio import audio_loader
    from cloud_storage.system.meter import Meter

    with path.open("rb") as file:
        loaded, _ = audio_loader.load(file, path.name, 0, 0, Meter())
    return (loaded["waveform"][0].numpy(),)


def audio_there(nodes: Any, path: Path) -> Outcome:
    if nodes is not None:
        from comfy_extras import nodes_audio  # type: ignore[import-not-found]

        return (nodes_audio.load(str(path))[0].numpy(),)
    import av

    with av.open(str(path), metadata_errors="replace") as file:
        stream = file.streams.audio[0]
        frames = [_planar(frame) for frame in file.decode(stream)]
    return (np.concatenate(frames, axis=1),)


def _planar(frame: Any) -> npt.NDArray[Any]:
    """[channels, samples] in -1..1, as ComfyUI's Load Audio has them."""
    samples = frame.to_ndarray()
    if not frame.format.is_planar:
        samples = samples.reshape(-1, frame.layout.nb_channels).T
    if samples.dtype.kind == "u":
        samples = samples.astype(np.float32) - 128
        return samples / np.float32(128)
    if samples.dtype.kind == "i":
        return samples.astype(np.float32) / np.float32(np.iinfo(samples.dtype).max + 1)
    return samples.astype(np.float32)


def video_here(path: Path) -> Outcome:
    from cloud_storage.media.video import frame_sinks, frame_window, video_loader
    from cloud_storage.system.meter import Meter

    window = frame_window.Window(frame_load_cap=FRAMES)
    with path.open("rb") as file:
        sink = frame_sinks.Tensor()
        loaded = video_loader.load(file, path.name, window, sink, Meter(), lambda: FREE_BYTES)
    return (loaded.frames[..., :3].numpy(),)


_PICTURES = ("_pipe", "image2", "ico")  # FFmpeg's names for formats of one picture


def video_there(nodes: Any, path: Path) -> Outcome:
    import av
    from av.stream import Disposition

    frames = []
    with av.open(str(path), metadata_errors="replace") as file:
        stream = file.streams.video[0]
        if stream.disposition & Disposition.attached_pic or file.format.name.endswith(_PICTURES):
            raise ValueError("it is a picture, or the cover of a sound")
        for frame in file.decode(stream):
            frames.append(frame.to_ndarray(format="rgb24").astype(np.float32) / 255)
            if len(frames) == FRAMES:
                break
    return (np.stack(frames),)


# --- Verdicts ----------------------------------------------------------------------------------------------

SAME, REFUSED, ONLY_HERE, ONLY_THERE = "same", "refused by both", "only here", "only there"
OTHER_SHAPE, OTHER_VALUES, RAW, TOO_LARGE = "other shape", "other values", "raw error", "too large"
TOLERANCES = {"image": 0, "audio": 0, "video": 1e-6}  # a division by 255 there, a multiplication here
READERS = {
    "image": (image_here, image_there),
    "audio": (audio_here, audio_there),
    "video": (video_here, video_there),
}


def compared(node: str, nodes: Any, path: Path) -> tuple[str, str]:
    here, there = READERS[node]
    from cloud_storage.errors import MediaError  # type: ignore[import-not-found]

    ours, said = None, ""
    try:
        ours = here(path)
    except MediaError as error:
        said = str(error)
        if "GB of memory are free" in said:
            return TOO_LARGE, said
    except Exception as error:  # noqa: BLE001  that is what is looked for
        return RAW, f"{type(error).__name__}: {error}"
    theirs = None
    try:
        theirs = there(nodes, path)
    except Exception as error:  # noqa: BLE001  the reference raises what it likes
        said = f"{said} | {type(error).__name__}: {error}"
    if ours is None or theirs is None:
        return (REFUSED if ours is theirs else ONLY_THERE if ours is None else ONLY_HERE), said
    shapes = [part.shape for part in ours], [part.shape for part in theirs]
    if shapes[0] != shapes[1]:
        return OTHER_SHAPE, f"{shapes[0]} here, {shapes[1]} there"
    differences = [
        float(np.abs(one - other).max()) if one.size else 0.0 for one, other in zip(ours, theirs, strict=True)
    ]
    if max(differences) > TOLERANCES[node]:
        return OTHER_VALUES, ", ".join(f"{difference:.6f}" for difference in differences)
    return SAME, ""


def main(node: str, paths: list[str]) -> None:
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    load_package()
    nodes = enter_comfyui()
    for path in paths:
        print(json.dumps([path]), flush=True)
        print(json.dumps([path, *compared(node, nodes, Path(path))]), flush=True)


if __name__ == "__main__":
    NODE = sys.argv[1]
    main(NODE, sys.stdin.read().splitlines())
