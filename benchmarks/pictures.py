"""The pictures that PNG files are measured on, one of each kind that comes out of a graph.

Each is uint8 [1024, 1024, channels] and the same on every run.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

SIDE = 1024

Pixels = npt.NDArray[np.uint8]

_WORDS = (
    "quick",
    "brown",
    "fox",
    "jumps",
    "over",
    "the",
    "lazy",
    "dog",
    "while",
    "sampling",
    "latent",
    "images",
)


def photograph() -> Pixels:
    """Smooth light, texture of three sizes, and sensor noise of sigma 2."""
    y, x = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32)
    red, green = 110 + 60 * np.sin(x / 170 + y / 300), 120 + 50 * np.cos(y / 140 - x / 500)
    light = np.stack([red, green, 100 + 70 * np.sin((x + y) / 260)], axis=-1)
    waves = [(0.3, 5, 6), (1.2, 9, 5), (2.1, 23, 8)]  # angle in radians, length in pixels / 2 pi, height
    texture = sum(
        high * np.sin((x * np.cos(angle) + y * np.sin(angle)) / long) for angle, long, high in waves
    )
    noise = np.random.default_rng(1).normal(0, 2, (SIDE, SIDE, 3))
    return np.clip(light + texture[..., None] + noise, 0, 255).astype(np.uint8)


def drawing() -> Pixels:
    """A user interface: areas of a few colours, rounded frames, and a lot of antialiased lettering."""
    image = Image.new("RGB", (SIDE, SIDE), (245, 246, 248))
    draw = ImageDraw.Draw(image)
    small, large = ImageFont.load_default(15), ImageFont.load_default(26)
    chance = np.random.default_rng(1)
    draw.rectangle([0, 0, SIDE, 48], fill=(32, 60, 120))
    draw.text((20, 10), "Untitled workflow", font=large, fill="white")
    draw.rectangle([0, 48, 200, SIDE], fill=(230, 232, 238))
    for line in range(20):
        draw.text((16, 70 + line * 36), f"Entry {line} of this menu", font=small, fill=(40, 40, 40))
    for left in (220, 620):
        for top in (70, 380, 690):
            corners = [left, top, left + 380, top + 290]
            draw.rounded_rectangle(corners, 12, fill="white", outline=(200, 200, 205))
            draw.text((left + 14, top + 10), f"Card {left} {top}", font=large, fill=(20, 20, 20))
            for line in range(10):
                text = " ".join(chance.choice(_WORDS, 7))
                draw.text((left + 14, top + 50 + line * 23), text, font=small, fill=(70, 70, 70))
    return np.array(image)


def blocks() -> Pixels:
    """Rectangles of four greys on a fifth, as in a mask or a layout guide."""
    chance = np.random.default_rng(1)
    pixels = np.full((SIDE, SIDE, 3), 240, np.uint8)
    for _ in range(300):
        left, top = chance.integers(0, SIDE - 24, 2)
        wide, high = chance.integers(2, 60, 2)
        pixels[top : top + high, left : left + wide] = chance.choice([0, 60, 120, 200])
    return pixels


def constant() -> Pixels:
    """One colour."""
    return np.full((SIDE, SIDE, 3), (12, 130, 200), np.uint8)


def noise() -> Pixels:
    """Every byte by chance: nothing to compress."""
    return np.random.default_rng(1).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)


KINDS = {"photograph": photograph, "drawing": drawing, "blocks": blocks, "constant": constant, "noise": noise}
MODES = ("RGB", "RGBA", "L")


def picture(kind: str, mode: str) -> Pixels:
    """One of KINDS in one of MODES. Alpha is a soft disc for the photograph, noise for noise, else full."""
    pixels = KINDS[kind]()
    if mode == "RGB":
        return pixels
    if mode == "L":
        return pixels[..., 1:2].copy()
    alpha = np.full((SIDE, SIDE), 255, np.uint8)
    if kind == "photograph":
        y, x = np.mgrid[0:SIDE, 0:SIDE] - SIDE // 2
        alpha = np.clip((400 - np.hypot(y, x)) * 4, 0, 255).astype(np.uint8)
    if kind == "noise":
        alpha = np.random.default_rng(2).integers(0, 256, (SIDE, SIDE), dtype=np.uint8)
    return np.dstack([pixels, alpha])
