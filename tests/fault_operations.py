"""The operations of the table of faults: what each needs in the bucket, does through a node, and must give.

A new operation is one row of OPERATIONS: ``tests/faults/test_faults.py`` then makes every fault happen to it,
and the README's table gets its column.
"""

from __future__ import annotations

import functools
import hashlib
import random
import tempfile
import wave
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Any

import av
import films
import folder_paths
import numpy as np
import torch
from cloud_storage.media import latent_file
from cloud_storage.storage.base import PutOptions
from cloud_storage.system.meter import Meter
from comfy_api.input_impl import VideoFromComponents
from comfy_api.util import VideoComponents
from conftest import outputs_of, run_node
from fault_table import Request
from PIL import Image

IMAGE = torch.rand((1, 96, 96, 3), generator=torch.Generator().manual_seed(5))  # some 27 kB as PNG
PIXELS = (IMAGE[0] * 255).clamp(0, 255).to(torch.uint8)
LISTED_KEYS = 5
MODEL = random.Random(7).randbytes(40_000)
FRAMES, LOADED_FRAMES = 3, 32
FOLDER_IMAGES = FOLDER_FILES = 3
TEXT = "".join(chr(0x4E00 + number % 5000) for number in range(9_000))  # 27 kB
LATENT = torch.rand((1, 4, 48, 48), generator=torch.Generator().manual_seed(8))
_NOISE = torch.randint(-(2**15), 2**15, (1, 60_000), generator=torch.Generator().manual_seed(6))
SOUND = _NOISE.float() / 2**15  # [channels, samples], in steps of 16 bits; more than one request to load


@dataclass(frozen=True)
class Operation:
    """One thing that a user does: ``prepare`` puts what it needs into the bucket, ``run`` does it through a
    node, ``is_right`` compares its result or what is in the bucket afterwards.
    """

    request: Request
    prepare: Callable[[Any, str], None]
    run: Callable[[str], Any]
    is_right: Callable[[Any, str, Any], bool]
    objects: int  # in its folder, when it is done


def _nothing(direct: Any, folder: str) -> None:
    pass


def _put(direct: Any, key: str, data: bytes) -> None:
    options = PutOptions(metadata={"sha256": hashlib.sha256(data).hexdigest()})
    direct.put(key, data, options, Meter())


def _put_png(direct: Any, key: str, pixels: torch.Tensor) -> None:
    data = BytesIO()
    Image.fromarray(pixels.numpy()).save(data, "PNG")
    _put(direct, key, data.getvalue())


def _put_image(direct: Any, folder: str) -> None:
    _put_png(direct, f"{folder}a.png", PIXELS)


def _put_some(direct: Any, folder: str) -> None:
    for number in range(LISTED_KEYS):
        direct.put(f"{folder}{number}.txt", b"x", PutOptions(), Meter())


def _save_image(folder: str) -> Any:
    return run_node("SaveImageToCloud", images=IMAGE, key_prefix=folder, filename="a_%counter%")


def _is_stored(direct: Any, folder: str, result: Any) -> bool:
    (stored,) = direct.list(folder)  # a number that a failed save had reserved is not used again
    image = Image.open(BytesIO(direct.read(stored.key)))
    return image.tobytes() == PIXELS.numpy().tobytes()


def _load_image(folder: str) -> Any:
    return outputs_of("LoadImageFromCloud", key=f"{folder}a.png")


def _is_loaded(direct: Any, folder: str, result: Any) -> bool:
    return torch.equal((result[0][0] * 255).round().to(torch.uint8), PIXELS)


def _local(folder: str) -> Path:
    """Where a model lies on this machine; the folder's name is in it, since models share one folder."""
    return Path(folder_paths.base_path, "models", "loras", f"{folder.strip('/')}.safetensors")


def _upload_model(folder: str) -> Any:
    _local(folder).parent.mkdir(parents=True, exist_ok=True)
    _local(folder).write_bytes(MODEL)
    return outputs_of("UploadModelToCloud", model_type="loras", model=_local(folder).name, key_prefix=folder)


def _is_stored_model(direct: Any, folder: str, result: Any) -> bool:
    (stored,) = direct.list(folder)
    return direct.read(stored.key) == MODEL == _local(folder).read_bytes() and result[0] == stored.key


def _put_model(direct: Any, folder: str) -> None:
    _put(direct, f"{folder}{_local(folder).name}", MODEL)


def _download_model(folder: str) -> Any:
    key = f"{folder}{_local(folder).name}"
    return outputs_of("LoadModelFromCloud", model_type="loras", key=key)


def _is_loaded_model(direct: Any, folder: str, result: Any) -> bool:
    found = [path for path in _local(folder).parent.iterdir() if path.suffix == ".safetensors"]
    return found == [_local(folder)] and found[0].read_bytes() == MODEL and result[0] == found[0].name


def _upload_file(folder: str) -> Any:
    path = Path(folder_paths.get_output_directory(), f"{folder.strip('/')}.bin")
    path.write_bytes(MODEL)
    return outputs_of("UploadFileToCloud", file=path.name, key_prefix=folder)


def _is_stored_file(direct: Any, folder: str, result: Any) -> bool:
    (stored,) = direct.list(folder)
    return direct.read(stored.key) == MODEL and result[1] == [stored.key]


def _put_images(direct: Any, folder: str) -> None:
    for number in range(FOLDER_IMAGES):
        _put_png(direct, f"{folder}{number}.png", PIXELS.roll(number, 0))


def _load_folder(folder: str) -> Any:
    return outputs_of("LoadImagesFromCloud", prefix=folder)


def _is_loaded_folder(direct: Any, folder: str, result: Any) -> bool:
    (images,), _, keys, _ = result
    wanted = torch.stack([PIXELS.roll(number, 0) for number in range(FOLDER_IMAGES)])
    names = [f"{folder}{number}.png" for number in range(FOLDER_IMAGES)]
    return keys == names and torch.equal((images * 255).round().to(torch.uint8), wanted)


def _list(folder: str) -> Any:
    return run_node("ListBucketContents", prefix=folder)["result"]


def _is_listed(direct: Any, folder: str, result: Any) -> bool:
    return result[1] == [f"{folder}{number}.txt" for number in range(LISTED_KEYS)]


def _film() -> VideoFromComponents:
    frames = torch.from_numpy(np.stack(films.numbered(FRAMES))).float() / 255
    tones = {"waveform": torch.from_numpy(films.tones(1, 0.2))[None], "sample_rate": films.SOUND_RATE}
    return VideoFromComponents(VideoComponents(frames, Fraction(25), tones))


def _save_video(folder: str) -> Any:
    return run_node("SaveVideoToCloud", video=_film(), key_prefix=folder, filename="a_%counter%")


def _is_stored_video(direct: Any, folder: str, result: Any) -> bool:
    (stored,) = direct.list(folder)
    with av.open(BytesIO(direct.read(stored.key))) as file:
        frames = [torch.from_numpy(frame.to_ndarray(format="rgb24")) / 255 for frame in file.decode(video=0)]
    return films.numbers(frames) == list(range(FRAMES))


@functools.cache
def _film_bytes() -> bytes:
    """A film that takes more than one request to load."""
    with tempfile.TemporaryDirectory() as folder:
        pictures = films.numbered(LOADED_FRAMES)
        noise = np.random.default_rng(1)
        for pixels in pictures:
            pixels[..., 2] = noise.integers(0, 256, pixels.shape[:2])
        return films.write(Path(folder, "f.mp4"), films.KINDS["mp4"], pictures).read_bytes()


def _put_video(direct: Any, folder: str) -> None:
    _put(direct, f"{folder}a.mp4", _film_bytes())


def _load_video(folder: str) -> Any:
    return run_node("LoadVideoFromCloud", key=f"{folder}a.mp4")["result"]


def _is_loaded_video(direct: Any, folder: str, result: Any) -> bool:
    return films.numbers(result[0]) == list(range(LOADED_FRAMES))


def _save_audio(folder: str) -> Any:
    sound = {"waveform": SOUND[None], "sample_rate": films.SOUND_RATE}
    return run_node("SaveAudioToCloud", audio=sound, key_prefix=folder, filename="a_%counter%")


def _is_stored_audio(direct: Any, folder: str, result: Any) -> bool:
    (stored,) = direct.list(folder)
    with av.open(BytesIO(direct.read(stored.key))) as file:
        samples = np.concatenate([frame.to_ndarray() for frame in file.decode(audio=0)], axis=1)
    return torch.equal(torch.from_numpy(samples / 2**31).float(), SOUND)  # FLAC's 24 bits, as 32


def _put_audio(direct: Any, folder: str) -> None:
    data = BytesIO()
    with wave.open(data, "wb") as file:
        file.setparams((1, 2, films.SOUND_RATE, 0, "NONE", ""))
        file.writeframes(_NOISE.to(torch.int16).numpy().tobytes())
    _put(direct, f"{folder}a.wav", data.getvalue())


def _load_audio(folder: str) -> Any:
    return outputs_of("LoadAudioFromCloud", key=f"{folder}a.wav")


def _is_loaded_audio(direct: Any, folder: str, result: Any) -> bool:
    return torch.equal(result[0]["waveform"][0], SOUND)


def _save_text(folder: str) -> Any:
    return run_node("SaveTextToCloud", text=TEXT, key_prefix=folder, filename="a_%counter%")


def _is_stored_text(direct: Any, folder: str, result: Any) -> bool:
    (stored,) = direct.list(folder)
    return direct.read(stored.key) == TEXT.encode()


def _put_text(direct: Any, folder: str) -> None:
    _put(direct, f"{folder}a.txt", TEXT.encode())


def _load_text(folder: str) -> Any:
    return outputs_of("LoadTextFromCloud", key=f"{folder}a.txt")


def _is_loaded_text(direct: Any, folder: str, result: Any) -> bool:
    return result == (TEXT,)


def _save_latent(folder: str) -> Any:
    return run_node(
        "SaveLatentToCloud", samples={"samples": LATENT}, key_prefix=folder, filename="a_%counter%"
    )


def _is_stored_latent(direct: Any, folder: str, result: Any) -> bool:
    (stored,) = direct.list(folder)
    return torch.equal(_load_latent(folder, stored.key)[0]["samples"], LATENT)


def _latent_bytes() -> bytes:
    return latent_file.encode({"samples": LATENT}, None)[0]


def _put_latent(direct: Any, folder: str) -> None:
    _put(direct, f"{folder}a.latent", _latent_bytes())


def _load_latent(folder: str, key: str = "") -> Any:
    return outputs_of("LoadLatentFromCloud", key=key or f"{folder}a.latent")


def _is_loaded_latent(direct: Any, folder: str, result: Any) -> bool:
    return torch.equal(result[0]["samples"], LATENT)


def _own_folder(folder: str) -> Path:
    """A folder of files on this machine, for one cell of the table."""
    return Path(folder_paths.get_input_directory(), folder.strip("/"))


def _put_file(direct: Any, folder: str) -> None:
    _put(direct, f"{folder}a.bin", MODEL)


def _download_file(folder: str) -> Any:
    return outputs_of("DownloadFileFromCloud", key=f"{folder}a.bin", subfolder=folder.strip("/"))


def _is_loaded_file(direct: Any, folder: str, result: Any) -> bool:
    path = _own_folder(folder) / "a.bin"
    found = [one for one in path.parent.iterdir() if not one.name.startswith(".")]
    return found == [path] and path.read_bytes() == MODEL and result[0] == str(path)


def _put_folder(direct: Any, folder: str) -> None:
    for number in range(FOLDER_FILES):
        _put(direct, f"{folder}{number}.bin", MODEL[number:])


def _sync(direction: str, folder: str) -> Any:
    given = {"direction": direction, "folder": f"input/{folder}", "prefix": folder}
    return outputs_of("SyncFolderWithCloud", **given)


def _upload_folder(folder: str) -> Any:
    _own_folder(folder).mkdir(exist_ok=True)
    for number in range(FOLDER_FILES):
        (_own_folder(folder) / f"{number}.bin").write_bytes(MODEL[number:])
    return _sync("upload", folder)


def _is_stored_folder(direct: Any, folder: str, result: Any) -> bool:
    return [direct.read(info.key) for info in direct.list(folder)] == [
        MODEL[number:] for number in range(FOLDER_FILES)
    ]


def _is_loaded_sync(direct: Any, folder: str, result: Any) -> bool:
    found = [path for path in sorted(_own_folder(folder).iterdir()) if not path.name.startswith(".")]
    return [path.read_bytes() for path in found] == [MODEL[number:] for number in range(FOLDER_FILES)]


OPERATIONS = {
    "save image": Operation(Request("up", "PUT"), _nothing, _save_image, _is_stored, 1),
    "save video": Operation(Request("up", "PUT"), _nothing, _save_video, _is_stored_video, 1),
    "save audio": Operation(Request("up", "PUT"), _nothing, _save_audio, _is_stored_audio, 1),
    "load image": Operation(Request("down", "GET"), _put_image, _load_image, _is_loaded, 1),
    "load folder": Operation(
        Request("down", "GET", path=".png"), _put_images, _load_folder, _is_loaded_folder, FOLDER_IMAGES
    ),
    "load video": Operation(Request("down", "GET"), _put_video, _load_video, _is_loaded_video, 1),
    "load audio": Operation(Request("down", "GET"), _put_audio, _load_audio, _is_loaded_audio, 1),
    "model down": Operation(Request("down", "GET"), _put_model, _download_model, _is_loaded_model, 1),
    "model up": Operation(Request("up", "PUT", keeps=False), _nothing, _upload_model, _is_stored_model, 1),
    "file up": Operation(Request("up", "PUT", keeps=False), _nothing, _upload_file, _is_stored_file, 1),
    "save text": Operation(Request("up", "PUT"), _nothing, _save_text, _is_stored_text, 1),
    "load text": Operation(Request("down", "GET"), _put_text, _load_text, _is_loaded_text, 1),
    "save latent": Operation(Request("up", "PUT"), _nothing, _save_latent, _is_stored_latent, 1),
    "load latent": Operation(Request("down", "GET"), _put_latent, _load_latent, _is_loaded_latent, 1),
    "file down": Operation(Request("down", "GET"), _put_file, _download_file, _is_loaded_file, 1),
    "folder up": Operation(
        Request("up", "PUT", keeps=False), _nothing, _upload_folder, _is_stored_folder, FOLDER_FILES
    ),
    "folder down": Operation(
        Request("down", "GET", path=".bin"),
        _put_folder,
        functools.partial(_sync, "download"),
        _is_loaded_sync,
        FOLDER_FILES,
    ),
    "list": Operation(
        Request("list", "GET", "list-type=2", flip_at=0), _put_some, _list, _is_listed, LISTED_KEYS
    ),
}
