"""What is seen in the pictures of the documents: hills at dusk, a film and a sound of them, a small LoRA.

All of it is made here from numbers, so that the repository holds no picture of anybody else's.
"""

from __future__ import annotations

import io
import json
import math
import shutil
import wave
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WIDTH, HEIGHT = 768, 512
RIDGES = 5
FILM_FRAMES, FILM_RATE = 48, 16
SOUND_RATE = 44_100
CHORD_HERTZ = (220.0, 277.2, 329.6, 440.0)
CHECKPOINT_BYTES, LORA_BYTES = 66_000_000, 24_000_000  # of zeros, of which only the sizes are seen
FULL_SCALE = 32_767  # of 16-bit samples

# Colours of the sky at the top and at the horizon, of the sun, and of the nearest ridge.
DUSKS = (
    ((24, 32, 72), (255, 150, 70), (255, 236, 190), (16, 18, 40)),
    ((60, 30, 90), (255, 110, 120), (255, 220, 200), (34, 14, 48)),
    ((14, 60, 90), (250, 200, 130), (255, 250, 220), (8, 34, 50)),
    ((20, 24, 40), (90, 140, 190), (225, 240, 255), (10, 14, 26)),
    ((96, 150, 190), (252, 226, 180), (255, 255, 240), (24, 60, 56)),
    ((40, 16, 40), (230, 90, 60), (255, 210, 120), (24, 8, 20)),
)


def hills(number: int, hour: float = 0.5) -> NDArray[np.uint8]:
    """[HEIGHT, WIDTH, 3] of uint8: each ``number`` is another place; from 0 to 1 of the ``hour`` the sun
    sinks.
    """
    import numpy as np

    top, horizon, sun, near = (np.array(colour, float) for colour in DUSKS[number % len(DUSKS)])
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    height = (y / HEIGHT / 0.7).clip(0, 1)[..., None] ** 1.4
    pixels = top * (1 - height) + horizon * height
    distance = np.hypot(x - WIDTH * (0.3 + 0.13 * (number % 4)), y - HEIGHT * (0.2 + 0.4 * hour))
    glow = np.exp(-((distance / 150) ** 2))[..., None] * 0.5
    disc = (1 - (distance - 40)).clip(0, 1)[..., None]
    pixels = pixels * (1 - glow) + sun * glow
    pixels = pixels * (1 - disc) + sun * disc
    chance = np.random.default_rng(number)
    for ridge in range(RIDGES):
        depth = (ridge + 1) / RIDGES
        outline = np.full(WIDTH, HEIGHT * (0.5 + 0.09 * ridge))
        for wave_length in (480, 210, 90, 37):
            outline = outline - wave_length * 0.1 * np.sin(x[0] / wave_length * 2 + chance.uniform(0, 6.3))
        below = (y - outline[None] + 0.5).clip(0, 1)[..., None]
        shade = horizon * (1 - depth) * 0.75 + near * (0.25 + 0.75 * depth)
        pixels = pixels * (1 - below) + shade * below
    eight_bits: NDArray[np.uint8] = pixels.round().astype(np.uint8)
    return eight_bits


def png(number: int, vignette: bool = False) -> bytes:
    """A PNG of ``hills``; with a vignette it is transparent towards its edges."""
    import numpy as np
    from PIL import Image

    pixels = hills(number)
    if vignette:
        y, x = np.mgrid[-1 : 1 : HEIGHT * 1j, -1 : 1 : WIDTH * 1j]
        alpha = (255 * (2.6 - 2.6 * np.hypot(x, y)).clip(0, 1)).astype(np.uint8)
        pixels = np.dstack((pixels, alpha))
    written = io.BytesIO()
    Image.fromarray(pixels).save(written, "PNG")
    return written.getvalue()


def files(folder: Path) -> None:
    """What ``bucket`` and ``local`` take from that folder."""
    film(folder / "sunset.mp4")
    sound(folder / "chord.wav")
    lora(folder / "lora.safetensors")
    latent(folder / "sketch.latent")


def bucket(folder: Path) -> dict[str, bytes]:
    """What is in the bucket, by key, with the files of that folder."""
    images = "comfyui/images"
    pictures = {f"{images}/ComfyUI_{number:05}.png": png(number, number % 2 == 0) for number in range(1, 7)}
    others = {f"{images}/{name}/dusk_00001.png": png(7) for name in ("print", "web")}
    return {
        **pictures,
        **others,
        "comfyui/videos/sunset.mp4": (folder / "sunset.mp4").read_bytes(),
        "comfyui/audio/chord.wav": (folder / "chord.wav").read_bytes(),
        "comfyui/text/prompt.txt": b"a lighthouse on a cliff at dusk, warm light, long exposure",
        "comfyui/latents/sketch.latent": (folder / "sketch.latent").read_bytes(),
        "models/checkpoints/model.safetensors": bytes(CHECKPOINT_BYTES),
        "models/loras/style/ink.safetensors": bytes(LORA_BYTES),
        "models/loras/ink-lines.safetensors": (folder / "lora.safetensors").read_bytes(),
    }


def local(base: Path, folder: Path) -> None:
    """What is in the folders of ComfyUI itself, with the files of ``folder``."""
    (base / "input" / "dusk.png").write_bytes(png(0))
    for name in ("sunset.mp4", "chord.wav"):
        shutil.copy(folder / name, base / "input" / name)
    (base / "models" / "loras").mkdir(exist_ok=True)
    shutil.copy(folder / "lora.safetensors", base / "models" / "loras" / "team-style.safetensors")


def film(path: Path) -> None:
    """An MP4 of three seconds: the sun goes down, to the sound of a chord."""
    import films  # of the tests
    import numpy as np

    pictures = [hills(0, number / FILM_FRAMES) for number in range(FILM_FRAMES)]
    mono = _chord(FILM_FRAMES / FILM_RATE, films.SOUND_RATE)
    films.write(path, films.KINDS["mp4"], pictures, FILM_RATE, sound=np.stack((mono, mono)))


def sound(path: Path) -> None:
    """A WAV of three seconds: a chord that fades."""
    samples = (_chord(3, SOUND_RATE) * FULL_SCALE).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SOUND_RATE)
        file.writeframes(samples.tobytes())


def lora(path: Path) -> None:
    """A safetensors file of one tensor: enough to be published, downloaded and listed."""
    _safetensors(path, {"lora.weight": (64, 4)})


def latent(path: Path) -> None:
    """A latent of 512 x 512 pixels, as ComfyUI's Save Latent writes it: all zeros."""
    _safetensors(path, {"latent_tensor": (1, 4, 64, 64), "latent_format_version_0": (0,)})


def _safetensors(path: Path, shapes: Mapping[str, Sequence[int]]) -> None:
    """A safetensors file of zeros."""
    header, end = {}, 0
    for name, shape in shapes.items():
        start, end = end, end + 4 * math.prod(shape)
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(end))


def _chord(seconds: float, rate: int) -> NDArray[np.float32]:
    import numpy as np

    time = np.arange(round(seconds * rate)) / rate
    tones = sum(np.sin(2 * np.pi * hertz * time) for hertz in CHORD_HERTZ)
    return (0.2 * tones * np.exp(-time)).astype(np.float32)
