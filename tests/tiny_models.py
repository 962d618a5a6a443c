"""Models of a few kilobytes that ComfyUI's own loaders take, as safetensors files; made without torch.

A Stable Diffusion 3 of one block: of the image models of core 0.3.64, one whose width and depth are read from
its weights (``comfy/model_detection.py``); those of the U-Nets are fixed at their published sizes. A CLIP-L
with two of its weights: core takes the rest as missing, and no text encoder has a free size. A VAE of pixels,
a T2I adapter of four channels, and a LoRA of rank one.
"""

from __future__ import annotations

import array
import json
import random
import struct
from collections.abc import Mapping, Sequence

WIDTH = 64  # of one head, the smallest: depth is width / 64
CHANNELS = 16  # of an SD3 latent

Shapes = Mapping[str, Sequence[int]]


def safetensors(shapes: Shapes, seed: int = 0, *, size: int = 0) -> bytes:
    """A safetensors file with small random weights of these shapes; ``size`` bytes of a further tensor make
    it larger.
    """
    numbers = random.Random(seed)
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    body = bytearray()
    for name, shape in {**shapes, **({"unused": (size,)} if size else {})}.items():
        count = 1
        for length in shape:
            count *= length
        if name == "unused":
            data, kind = numbers.randbytes(count), "U8"
        else:
            values = [numbers.uniform(-0.02, 0.02) for _ in range(min(count, 4096))]
            data = array.array("f", (values * (count // len(values) + 1))[:count]).tobytes()
            kind = "F32"
        header[name] = {
            "dtype": kind,
            "shape": list(shape),
            "data_offsets": [len(body), len(body) + len(data)],
        }
        body += data
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % 8)
    return struct.pack("<Q", len(head)) + head + bytes(body)


def _linear(name: str, out: int, into: int) -> dict[str, Sequence[int]]:
    return {f"{name}.weight": (out, into), f"{name}.bias": (out,)}


def _diffusion() -> dict[str, Sequence[int]]:
    """``comfy/ldm/modules/diffusionmodules/mmdit.py`` with a depth of 1."""
    found: dict[str, Sequence[int]] = {
        "pos_embed": (1, 16 * 16, WIDTH),
        "x_embedder.proj.weight": (WIDTH, CHANNELS, 2, 2),
        "x_embedder.proj.bias": (WIDTH,),
        **_linear("t_embedder.mlp.0", WIDTH, 256),
        **_linear("t_embedder.mlp.2", WIDTH, WIDTH),
        **_linear("y_embedder.mlp.0", WIDTH, 2048),
        **_linear("y_embedder.mlp.2", WIDTH, WIDTH),
        **_linear("context_embedder", WIDTH, 4096),
        **_linear("final_layer.linear", 2 * 2 * CHANNELS, WIDTH),
        **_linear("final_layer.adaLN_modulation.1", 2 * WIDTH, WIDTH),
    }
    image, text = "joint_blocks.0.x_block", "joint_blocks.0.context_block"
    found |= _linear(f"{image}.attn.qkv", 3 * WIDTH, WIDTH) | _linear(f"{image}.attn.proj", WIDTH, WIDTH)
    found |= _linear(f"{image}.mlp.fc1", 4 * WIDTH, WIDTH) | _linear(f"{image}.mlp.fc2", WIDTH, 4 * WIDTH)
    found |= _linear(f"{image}.adaLN_modulation.1", 6 * WIDTH, WIDTH)
    found |= _linear(f"{text}.attn.qkv", 3 * WIDTH, WIDTH) | _linear(
        f"{text}.adaLN_modulation.1", 2 * WIDTH, WIDTH
    )
    return found


def unet(seed: int = 0) -> bytes:
    """For Load Diffusion Model."""
    return safetensors(_diffusion(), seed)


def checkpoint(seed: int = 0) -> bytes:
    """For Load Checkpoint: a model, without text encoder and VAE."""
    return safetensors({f"model.diffusion_model.{name}": shape for name, shape in _diffusion().items()}, seed)


def clip(seed: int = 0) -> bytes:
    """For Load CLIP: two weights of CLIP-L, by which core knows it (``comfy/sd.py``, detect_te_model, and
    ``comfy/text_encoders/sd3_clip.py``, load_sd).
    """
    return safetensors({f"text_model.encoder.layers.{at}.mlp.fc1.weight": (3072, 768) for at in (0, 1)}, seed)


def vae() -> bytes:
    """For Load VAE: what core takes as a VAE that leaves pixels as they are."""
    return safetensors({"pixel_space_vae": ()})


def lora(seed: int = 0) -> bytes:
    """For Load LoRA, on the models above."""
    name = "diffusion_model.joint_blocks.0.x_block.attn.proj"
    return safetensors({f"{name}.lora_A.weight": (1, WIDTH), f"{name}.lora_B.weight": (WIDTH, 1)}, seed)


def controlnet(seed: int = 0) -> bytes:
    """For Load ControlNet Model: a T2I adapter, whose width core reads from its weights
    (``comfy/controlnet.py``, load_t2i_adapter).
    """
    channels = (4, 8, 16, 16)
    found: dict[str, Sequence[int]] = {"conv_in.weight": (4, 192, 3, 3), "conv_in.bias": (4,)}
    before = channels[0]
    for index, width in enumerate(width for width in channels for _ in range(2)):
        if width != before:
            found |= {
                f"body.{index}.in_conv.weight": (width, before, 1, 1),
                f"body.{index}.in_conv.bias": (width,),
            }
        for block, kernel in (("block1", 3), ("block2", 1)):
            found[f"body.{index}.{block}.weight"] = (width, width, kernel, kernel)
            found[f"body.{index}.{block}.bias"] = (width,)
        before = width
    return safetensors(found, seed)
