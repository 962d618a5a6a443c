"""The table of loaders: which inputs of which nodes name models, of which folder types, and how.

What is not in the table is found by the rule: an input whose list is ComfyUI's own list of a folder type
(``comfyui/node_classes.py``). The table has what the rule cannot see: lists that are made of several types,
names in texts and in structured values, and files that a name stands for; and core's loaders, so that a
workflow can be read where no ComfyUI runs.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass

from ..comfyui import node_classes

# How an input names models
NAME = "name"  # its value is the name; it becomes a wire from the added node
ENTRIES = "entries"  # a dict, or a list of dicts, each with a name and a switch
LORAS_IN_TEXT = "loras in text"  # <lora:name:1>
EMBEDDINGS_IN_TEXT = "embeddings in text"  # embedding:name
STANDS_FOR = "stands for"  # its value is a word for the files of ``STANDS_FOR_FILES``


@dataclass(frozen=True)
class Loader:
    """One row: an input of a node class that names models of these folder ``types``, the first one first.

    ``input`` is a name, or a pattern where there are many ("lora_*"). ``kind`` is one of the above.
    ``names``: only names that this pattern matches. ``front``: the wired inputs in front of which files are
    fetched, where the value itself does not become a wire; if none of them has a wire, or none is given, the
    value is passed through the added node. ``source`` says where this is written.
    """

    node: str
    input: str
    types: tuple[str, ...]
    kind: str = NAME
    names: str = ""
    front: tuple[str, ...] = ()
    source: str = ""

    def fits(self, name: str) -> bool:
        """Return whether this row is about an input of this name."""
        return self.input == name or ("*" in self.input and _pattern(self.input).fullmatch(name) is not None)


@functools.cache
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(re.escape(text).replace(r"\*", ".*"))


_NODES = "core, nodes.py"
_IMAGE_TAES = ("taesd", "taesdxl", "taesd3", "taef1", "taef2")
# Names for which a loader takes two files, by their beginnings (VAELoader.load_taesd)
STANDS_FOR_FILES = {name: (f"{name}_encoder.", f"{name}_decoder.") for name in _IMAGE_TAES}
_VIDEO_TAES = r"(taehv|lighttaew2_2|lighttaew2_1|lighttaehy1_5|taeltx_2|taeh3)\."


def _rows(
    source: str, *rows: tuple[str, str, str | tuple[str, ...]], kind: str = NAME, front: tuple[str, ...] = ()
) -> tuple[Loader, ...]:
    return tuple(
        Loader(node, name, (types,) if isinstance(types, str) else types, kind, "", front, source)
        for node, name, types in rows
    )


CORE: tuple[Loader, ...] = (
    *_rows(
        _NODES,
        ("CheckpointLoader", "config_name", "configs"),
        ("CheckpointLoader", "ckpt_name", "checkpoints"),
        ("CheckpointLoaderSimple", "ckpt_name", "checkpoints"),
        ("unCLIPCheckpointLoader", "ckpt_name", "checkpoints"),
        ("LoraLoader", "lora_name", "loras"),
        ("LoraLoaderModelOnly", "lora_name", "loras"),
        ("VAELoader", "vae_name", "vae"),
    ),
    Loader("VAELoader", "vae_name", ("vae_approx",), names=_VIDEO_TAES, source=_NODES),
    Loader("VAELoader", "vae_name", ("vae_approx",), STANDS_FOR, source=_NODES),
    *_rows(
        _NODES,
        ("ControlNetLoader", "control_net_name", "controlnet"),
        ("DiffControlNetLoader", "control_net_name", "controlnet"),
        ("UNETLoader", "unet_name", "diffusion_models"),
        ("CLIPLoader", "clip_name", "text_encoders"),
        ("DualCLIPLoader", "clip_name1", "text_encoders"),
        ("DualCLIPLoader", "clip_name2", "text_encoders"),
        ("CLIPVisionLoader", "clip_name", "clip_vision"),
        ("StyleModelLoader", "style_model_name", "style_models"),
        ("GLIGENLoader", "gligen_name", "gligen"),
    ),
    *_rows("core, comfy_extras/nodes_sd3.py", ("TripleCLIPLoader", "clip_name*", "text_encoders")),
    *_rows("core, comfy_extras/nodes_hidream.py", ("QuadrupleCLIPLoader", "clip_name*", "text_encoders")),
    *_rows("core, comfy_extras/nodes_model_patch.py", ("ModelPatchLoader", "name", "model_patches")),
    *_rows(
        "core, comfy_extras/nodes_upscale_model.py", ("UpscaleModelLoader", "model_name", "upscale_models")
    ),
    *_rows("core, comfy_extras/nodes_train.py", ("TrainLoraNode", "existing_lora", "loras")),
    *_rows(
        "core, comfy_extras/nodes_video_model.py", ("ImageOnlyCheckpointLoader", "ckpt_name", "checkpoints")
    ),
    *_rows(
        "core, comfy_extras/nodes_hypernetwork.py",
        ("HypernetworkLoader", "hypernetwork_name", "hypernetworks"),
    ),
    *_rows(
        "core, comfy_extras/nodes_audio_encoder.py",
        ("AudioEncoderLoader", "audio_encoder_name", "audio_encoders"),
    ),
    *_rows(
        "core, comfy_extras/nodes_photomaker.py", ("PhotoMakerLoader", "photomaker_model_name", "photomaker")
    ),
    *_rows(
        "core, comfy_extras/nodes_hooks.py",
        ("CreateHookLora", "lora_name", "loras"),
        ("CreateHookLoraModelOnly", "lora_name", "loras"),
        ("CreateHookModelAsLora", "ckpt_name", "checkpoints"),
        ("CreateHookModelAsLoraModelOnly", "ckpt_name", "checkpoints"),
    ),
    *_rows(
        "core 0.33, comfy_extras/nodes_lora_debug.py",
        ("LoraLoaderBypass", "lora_name", "loras"),
        ("LoraLoaderBypassModelOnly", "lora_name", "loras"),
    ),
    *_rows(
        "core 0.33, comfy_extras/nodes_lt_audio.py",
        ("LTXVAudioVAELoader", "ckpt_name", "checkpoints"),
        ("LTXAVTextEncoderLoader", "text_encoder", "text_encoders"),
        ("LTXAVTextEncoderLoader", "ckpt_name", "checkpoints"),
    ),
    *_rows(
        "core 0.33, comfy_extras/nodes_hunyuan.py",
        ("LatentUpscaleModelLoader", "model_name", "latent_upscale_models"),
    ),
    *_rows(
        "core 0.33, comfy_extras/nodes_bg_removal.py",
        ("LoadBackgroundRemovalModel", "bg_removal_name", "background_removal"),
    ),
    *_rows(
        "core 0.33, comfy_extras/nodes_frame_interpolation.py",
        ("FrameInterpolationModelLoader", "model_name", "frame_interpolation"),
    ),
    *_rows("core 0.33, comfy_extras/nodes_void.py", ("OpticalFlowLoader", "model_name", "optical_flow")),
    *_rows("core 0.33, comfy_extras/nodes_moge.py", ("LoadMoGeModel", "model_name", "geometry_estimation")),
    *_rows(
        "core 0.33, comfy_extras/nodes_depth_anything_3.py",
        ("LoadDA3Model", "model_name", "geometry_estimation"),
    ),
    *_rows(
        "core 0.33, comfy_extras/nodes_mediapipe.py",
        ("LoadMediaPipeFaceLandmarker", "model_name", "detection"),
    ),
)

PACKS: tuple[Loader, ...] = (
    *_rows(
        "rgthree-comfy, py/power_lora_loader.py",
        ("Power Lora Loader (rgthree)", "lora_*", "loras"),
        kind=ENTRIES,
        front=("model", "clip"),
    ),
)

TABLE: Mapping[str, tuple[Loader, ...]] = {
    node: tuple(row for row in (*CORE, *PACKS) if row.node == node)
    for node in dict.fromkeys(row.node for row in (*CORE, *PACKS))
}


@functools.lru_cache(maxsize=4096)
def rows_of(node_class: str, name: str) -> tuple[Loader, ...]:
    """Return the rows of the table about one input of a node class."""
    return tuple(row for row in TABLE.get(node_class, ()) if row.fits(name))


def inputs_of(node_class: str) -> Mapping[str, tuple[str, ...]]:
    """Return the inputs that list models, each with its folder types: by the table, else by the rule.

    A row whose input is a pattern is completed by the rule, where the class is registered.
    """
    found: dict[str, tuple[str, ...]] = {}
    rows = [row for row in TABLE.get(node_class, ()) if row.kind == NAME]
    for row in rows:
        if "*" not in row.input:
            found[row.input] = tuple(dict.fromkeys((*found.get(row.input, ()), *row.types)))
    for name, types in node_classes.model_lists(node_class).items():
        if name not in found:
            found[name] = next((row.types for row in rows if row.fits(name)), types)
    return found
