"""Image files in: frames as Load Image reads them, of damaged files what is there, else plain words."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import threading
import warnings
import weakref
import zlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from cloud_storage import errors
from cloud_storage.media import damage, file_kind
from cloud_storage.media.image import comfyui_reader, image_batch, image_decoder
from cloud_storage.media.image.image_decoder import CHANNELS, ImageFile
from cloud_storage.media.image.image_encoder import encode
from conftest import ROOT
from odd_images import HEIGHT, WIDTH, junk_metadata, odd_images, raw_png, saved
from PIL import Image, ImageOps, ImageSequence
from PIL import ImageFile as PillowFile

ODD_IMAGES = odd_images()
JUNK_METADATA = junk_metadata()
HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1", b"avci")
# A TIFF with the tag DNGVersion and a kind of picture that nobody knows
DNG = b"II*\0\x08\0\0\0\x02\0"
DNG += struct.pack("<HHII", 0x0103, 3, 1, 34892) + struct.pack("<HHI4B", 0xC612, 1, 4, 1, 4, 0, 0)


def decode(data, name="no name", **given):
    return ImageFile(data, name, **given).decode()


def decode_mask(data, channel, name="no name", **given):
    return ImageFile(data, name, **given).decode_mask(channel)


def picture(height=20, width=30, channels=3, seed=1):
    """Floats, many of them outside of 0..1."""
    return np.random.default_rng(seed).normal(0.5, 0.5, (height, width, channels)).astype(np.float32)


def as_save_image(image):
    """What ComfyUI's nodes.SaveImage makes of a frame."""
    return np.clip(255.0 * image, 0, 255).astype(np.uint8)


# --- In ----------------------------------------------------------------------------------------------------


def as_load_image(data):
    """What LoadImage.load_image of ComfyUI 0.3.64 gives, retold; its 64 x 64 masks stand for "no alpha"."""
    images, masks, size = [], [], None
    file = Image.open(io.BytesIO(data))
    for frame in map(ImageOps.exif_transpose, ImageSequence.Iterator(file)):
        colours = frame.point(lambda value: value * (1 / 255)) if frame.mode == "I" else frame
        size = size or frame.size
        if frame.size != size:
            continue
        images.append(np.array(colours.convert("RGB")).astype(np.float32) / 255.0)
        if "A" in frame.getbands():
            mask = 1.0 - torch.from_numpy(np.array(frame.getchannel("A")).astype(np.float32) / 255.0)
        elif frame.mode == "P" and "transparency" in frame.info:
            alpha = frame.convert("RGBA").getchannel("A")
            mask = 1.0 - torch.from_numpy(np.array(alpha).astype(np.float32) / 255.0)
        else:
            mask = torch.zeros((64, 64))
        masks.append(mask if mask.shape != (64, 64) else torch.zeros(images[-1].shape[:2]))
    count = 1 if file.format == "MPO" else len(images)
    return torch.from_numpy(np.stack(images[:count])), torch.stack(masks[:count])


@pytest.mark.parametrize("name", [name for name in ODD_IMAGES if not name.startswith(("cut-off", "no-end"))])
def test_a_file_is_read_as_load_image_reads_it(name):
    data = ODD_IMAGES[name]
    image, mask = decode(data, name)
    expected_image, expected_mask = as_load_image(data)
    assert image.dtype == mask.dtype == torch.float32
    assert torch.equal(image, expected_image)
    assert torch.equal(mask, expected_mask)
    assert mask.shape == image.shape[:3]
    for channel, expected in zip(CHANNELS, (mask, *image.unbind(-1)), strict=True):
        assert torch.equal(decode_mask(data, channel, name), expected)


def test_the_frames_are_counted_as_load_image_counts_them():
    counts = {name: len(decode(data)[0]) for name, data in ODD_IMAGES.items()}
    several = {name: count for name, count in counts.items() if count != 1}
    assert several == {
        **dict.fromkeys(["animated.png", "animated-alpha.png", "animated.webp"], 4),
        **dict.fromkeys(["animated.gif", "animated-transparent.gif", "pages.tif"], 4),
        "pages-of-two-sizes.tif": 2,
    }


def test_an_image_is_turned_upright():
    upright = decode(ODD_IMAGES["turned-1.jpg"])[0][0]
    assert upright.shape == (HEIGHT, WIDTH, 3)
    turned = {number: decode(ODD_IMAGES[f"turned-{number}.jpg"])[0][0] for number in range(2, 9)}
    assert torch.equal(turned[2], upright.flip(1))
    assert torch.equal(turned[3], upright.flip(0, 1))
    assert torch.equal(turned[4], upright.flip(0))
    assert torch.equal(turned[5], upright.transpose(0, 1))
    assert torch.equal(turned[6], upright.transpose(0, 1).flip(1))
    assert torch.equal(turned[7], upright.transpose(0, 1).flip(0, 1))
    assert torch.equal(turned[8], upright.transpose(0, 1).flip(0))


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_of_grey_are_kept(kind):
    grey = np.random.default_rng(1).integers(0, 65536, (9, 8)).astype(np.uint16)
    image, mask = decode(saved(Image.fromarray(grey), kind))
    expected = torch.from_numpy(grey.astype(np.float32) * np.float32(1 / 65535))
    assert torch.equal(image, expected[None, :, :, None].expand(1, 9, 8, 3))
    assert not mask.any()


def test_colours_declared_transparent_are():
    pixels = np.random.default_rng(1).integers(0, 4, (9, 8, 3), dtype=np.uint8)
    rgb, grey = Image.fromarray(pixels), Image.fromarray(pixels[..., 0])
    mask = decode(saved(rgb, "PNG", transparency=(1, 2, 3)))[1][0]
    assert np.array_equal(mask.numpy(), (pixels == (1, 2, 3)).all(-1).astype(np.float32))
    mask = decode(saved(grey, "PNG", transparency=2))[1][0]
    assert np.array_equal(mask.numpy(), (pixels[..., 0] == 2).astype(np.float32))


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_what_encode_writes_decode_reads(channels):
    image = picture(channels=channels)
    found, mask = decode(encode(image, "png").data)
    expected = torch.from_numpy(as_save_image(image).astype(np.float32) / 255)
    assert torch.equal(found[0], expected[..., :3].expand(20, 30, 3))
    assert torch.equal(mask[0], 1 - expected[..., 3] if channels == 4 else torch.zeros(20, 30))


def test_an_image_50000_pixels_wide_comes_back():
    image = np.zeros((4, 50_000, 3), np.float32)
    image[:, ::7] = 1
    assert np.array_equal(decode(encode(image, "png").data)[0][0].numpy(), image)


def test_of_a_cut_off_file_comes_what_is_there_and_a_note():
    found = damage.ImageDamage("a/cut-off.png", image_decoder.TRIED)
    pixels = np.array(Image.open(io.BytesIO(ODD_IMAGES["rgb.png"]))).astype(np.float32) / 255
    image, mask = decode(ODD_IMAGES["cut-off.png"], "a/cut-off.png", damage=found)
    rows = int((image[0].numpy() == pixels).all((1, 2)).sum())
    assert 3 < rows < HEIGHT
    assert not image[0, rows:].any()
    assert not mask.any()
    assert [note for note in found.notes if note.startswith("a/cut-off.png: the file is damaged or cut off")]
    image, _ = decode(ODD_IMAGES["cut-off.jpg"])
    whole, _ = decode(ODD_IMAGES["rgb.jpg"])
    assert torch.equal(image[0, :8], whole[0, :8])
    assert torch.equal(decode(ODD_IMAGES["no-end.jpg"])[0], decode(ODD_IMAGES["no-end.jpg"] + b"\xff\xd9")[0])


@pytest.mark.parametrize("name", JUNK_METADATA)
def test_metadata_that_cannot_be_read_costs_nothing_but_itself(name):
    data, clean = JUNK_METADATA[name]
    found = damage.ImageDamage(name, image_decoder.TRIED, damage.FAIL)
    image, mask = decode(data, name, damage=found)
    expected_image, expected_mask = decode(clean)
    assert torch.equal(image, expected_image)
    assert torch.equal(mask, expected_mask)


def test_what_junk_metadata_costs_is_said():
    found = damage.ImageDamage("a.webp", image_decoder.TRIED)
    decode(JUNK_METADATA["exif-noise.webp"][0], damage=found)
    assert found.notes == ["a.webp: its EXIF data cannot be read, so it is not rotated."]
    found = damage.ImageDamage("a.png", image_decoder.TRIED)
    decode(ODD_IMAGES["turned.png"], damage=found)
    assert found.notes == []


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is empty"),
        (b"<!DOCTYPE html><html><body>Sign in</body></html>", "HTML page"),
        (b"\xef\xbb\xbf\n <HTML>", "HTML page"),
        (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "XML document"),
        (b'{"error": "forbidden"}', "JSON document"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "Git LFS"),
        (b"\0\0\0\x20ftypisom" + bytes(99), "MP4.*Load Video"),
        (b"FLV\1" + bytes(99), "Flash video.*Load Video"),
        (b"\0\0\1\xba" + bytes(99), "MPEG video.*Load Video"),
        (b"\0\0\0\x20ftypheic" + bytes(99), "HEIC"),
        *((b"\0\0\0\x18ftyp" + brand + bytes(99), "HEI[CF]") for brand in HEIF_BRANDS),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avif" + bytes(99), "AVIF"),
        (b"\0\0\0\x18ftypcrx " + bytes(99), "raw photograph .Canon CR3"),
        (b"II*\0\x10\0\0\0CR" + bytes(99), "raw photograph .Canon CR2"),
        (b"FUJIFILMCCD-RAW 0201" + bytes(99), "raw photograph .Fujifilm RAF"),
        (DNG, "raw photograph .DNG.*PNG, JPEG or WebP"),
        (b"\xff\x0a" + bytes(99), "JPEG XL"),
        (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(99), "JPEG XL"),
        (b"v/1\x01" + bytes(99), "OpenEXR"),
        (b"gimp xcf v011" + bytes(99), "GIMP"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n", "PostScript"),
        (b"\x1a\x45\xdf\xa3" + bytes(99), "WebM"),
        (b"RIFF\0\0\0\0AVI " + bytes(99), "AVI"),
        (b"%PDF-1.7", "PDF"),
        (b"PK\x03\x04" + bytes(99), "ZIP"),
        (b"\1\2\3\4 whatever", "01 02 03 04"),
        (file_kind.PNG_SIGNATURE, "damaged or cut off"),
        (file_kind.PNG_SIGNATURE + bytes(99), "damaged or cut off"),
        (ODD_IMAGES["rgb.jpg"][:40], "damaged or cut off"),
        (ODD_IMAGES["lossless.webp"][:99], "damaged or cut off"),
    ],
)
def test_what_is_no_image_is_named_for_what_it_is(data, words):
    for read in (decode, lambda data, name: decode_mask(data, "red", name)):
        with pytest.raises(errors.MediaError, match=words) as raised:
            read(data, "folder/cat 图.png")
        assert "folder/cat 图.png" in str(raised.value)
        assert "BytesIO" not in str(raised.value)
        assert str(raised.value).count(". ") == 1


def test_an_image_larger_than_pillow_opens_is_refused_unread():
    bomb = raw_png(2, 8, np.zeros((1, 1, 3), np.uint8))
    header = b"IHDR" + struct.pack(">IIBBBBB", 40_000, 40_000, 8, 2, 0, 0, 0)
    bomb = bomb[:12] + header + struct.pack(">I", zlib.crc32(header)) + bomb[33:]
    with pytest.raises(
        errors.MediaError, match=r"x\.png.*1,600,000,000 pixels.*178,956,970\. Make it smaller"
    ):
        decode(bomb, "x.png")


def test_a_warning_of_pillow_that_others_made_an_error_is_told_as_well(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", HEIGHT * WIDTH - 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(errors.MediaError, match="smaller"):
            decode(ODD_IMAGES["rgb.png"])


def test_the_frames_together_have_a_limit_too(monkeypatch):
    monkeypatch.setattr(image_batch, "MAX_PIXELS", 3 * HEIGHT * WIDTH)
    assert len(decode(ODD_IMAGES["rgb.png"])[0]) == 1
    with pytest.raises(errors.MediaError, match=f"{3 * HEIGHT * WIDTH:,} pixels"):
        decode(ODD_IMAGES["animated.gif"])


@pytest.mark.parametrize("module", [Image, PillowFile])
def test_pillows_globals_are_not_touched_even_meanwhile(module):
    touched = []

    class Watched(ModuleType):
        def __setattr__(self, name, value):
            touched.append(name)

    module.__class__ = Watched
    try:
        for name in ("cut-off.png", "cut-off.jpg", "rgb.png"):
            decode(ODD_IMAGES[name])
    finally:
        ModuleType.__setattr__(module, "__class__", ModuleType)
    assert touched == []


def test_threads_that_read_at_once_read_the_same():
    found = {}

    def run(name):
        found[name] = decode(ODD_IMAGES[name], name)

    threads = [threading.Thread(target=run, args=(name,)) for name in ODD_IMAGES]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name, data in ODD_IMAGES.items():
        for one, other in zip(found[name], decode(data), strict=True):
            assert torch.equal(one, other)


def odd_webp():
    """A WebP whose last chunk has an odd length, so that a byte of padding follows."""
    for width in range(20, 90):
        pixels = np.random.default_rng(width).integers(0, 255, (40, width, 3), dtype=np.uint8)
        data = saved(Image.fromarray(pixels), "WEBP", lossless=True)
        if int.from_bytes(data[16:20], "little") % 2:
            return data
    raise AssertionError("none of seventy has an odd length")


def animated_webp():
    frames = [Image.new("RGB", (30, 20), colour) for colour in ("red", "green", "blue")]
    return saved(frames[0], "WEBP", save_all=True, append_images=frames[1:])


def noisy_jpeg(progressive=False):
    pixels = np.random.default_rng(1).integers(0, 255, (100, 141, 3), dtype=np.uint8)
    return saved(Image.fromarray(pixels), "JPEG", progressive=progressive)


def noisy_png():
    return saved(Image.open(io.BytesIO(noisy_jpeg())), "PNG")


@pytest.mark.parametrize("by_host", [False, True], ids=["by Pillow", "by the host"])
@pytest.mark.parametrize(
    ("make", "lacking", "whole"),
    [
        (odd_webp, 0, True),
        (animated_webp, 0, True),
        (animated_webp, 3, False),
        (noisy_jpeg, 0, True),
        (noisy_jpeg, 1, True),
        (noisy_jpeg, 2, True),
        (noisy_jpeg, 3, False),
        (noisy_jpeg, 400, False),
        (lambda: noisy_jpeg(progressive=True), 2, True),
        (lambda: noisy_jpeg(progressive=True), 3, False),
        (noisy_png, 12, True),
        (noisy_png, 40, False),
    ],
)
def test_what_lacks_none_of_its_pixels_is_not_called_cut_off(tmp_path, make, lacking, whole, by_host):
    data = make()[: -lacking or None]
    path = tmp_path / "a"
    path.write_bytes(data)
    found = damage.ImageDamage("a", image_decoder.TRIED)
    reader = by_packet(torch.zeros((20, 1, 1, 3))) if by_host else None
    try:
        image, _ = ImageFile(path, "a", reader, found).decode()
    except errors.MediaError:
        assert not whole
        return
    assert (found.notes == []) == whole
    if whole and not by_host:
        assert torch.equal(image, decode(make())[0])


class Parts:
    """What ComfyUI's reader gives."""

    def __init__(self, images, alpha=None):
        self.images = images
        self.alpha = None if alpha is None else alpha[..., None]


def by_packet(images, alpha=None):
    """A reader that gives one frame for each packet of the file."""
    left = list(range(len(images)))

    def read(container):
        (packet,) = container.demux(container.streams.video[0])
        if not packet.decode():
            return Parts(torch.zeros((0, 0, 0, 3)))
        index = left.pop(0)
        return Parts(images[index : index + 1], None if alpha is None else alpha[index : index + 1])

    return read


def test_the_hosts_own_reader_is_asked_first_and_for_one_frame_at_a_time(tmp_path):
    path = tmp_path / "animated.gif"
    path.write_bytes(ODD_IMAGES["animated.gif"])
    images, alpha = torch.rand((4, 5, 4, 3)), torch.rand((4, 5, 4))
    found, mask = decode(path, reader=by_packet(images, alpha))
    assert torch.equal(found, images)
    assert torch.equal(mask, 1 - alpha)
    assert torch.equal(decode_mask(path, "blue", reader=by_packet(images)), images[..., 2])
    found, mask = decode(path, reader=by_packet(images))
    assert torch.equal(mask, torch.zeros(4, 5, 4))
    found, mask = ImageFile(path, reader=by_packet(images, alpha)).decode(first_only=True)
    assert torch.equal(found, images[:1])
    assert torch.equal(mask, 1 - alpha[:1])


def test_pillow_reads_what_the_hosts_reader_does_not(tmp_path):
    def fails(container):
        raise TypeError("'<' not supported between instances of 'NoneType' and 'int'")

    path = tmp_path / "rgba.png"
    path.write_bytes(ODD_IMAGES["rgba.png"])
    expected = decode(path)
    for reader in (fails, lambda container: Parts(torch.zeros((0, 0, 0, 3)))):
        for one, other in zip(decode(path, reader=reader), expected, strict=True):
            assert torch.equal(one, other)


def test_a_large_frame_is_freed_before_its_bytes_become_floats(tmp_path, monkeypatch):
    path = tmp_path / "rgba.png"
    path.write_bytes(ODD_IMAGES["rgba.png"])
    expected, memory, seen = decode(path), [], []
    large_frame, spread = comfyui_reader.large_frame, image_batch._spread

    def watched_frame(path):
        frame = large_frame(path)
        memory.append(weakref.ref(frame[0]))
        return frame

    def watched_spread(*args, **options):
        seen.append(memory[0]())
        spread(*args, **options)

    monkeypatch.setattr(comfyui_reader, "MAX_PIXELS", 0)
    monkeypatch.setattr(comfyui_reader, "large_frame", watched_frame)
    monkeypatch.setattr(image_batch, "_spread", watched_spread)
    for one, other in zip(decode(path, reader=pytest.fail), expected, strict=True):
        assert torch.equal(one, other)
    assert seen == [None, None]


# --- Against ComfyUI itself --------------------------------------------------------------------------------

# Runs in a check-out of ComfyUI, with its Python. Names the files that come out differently.
COMPARE = """
import importlib.util, os, sys
root, folder, core = sys.argv[1:]
spec = importlib.util.spec_from_file_location(
    "cloud_storage", root + "/__init__.py", submodule_search_locations=[root]
)
sys.modules["cloud_storage"] = importlib.util.module_from_spec(spec)
from cloud_storage.comfyui import video
from cloud_storage.media.image import image_decoder
from pathlib import Path
sys.path.insert(0, core)
sys.argv = ["main.py", "--cpu"]
import comfy.options
comfy.options.enable_args_parsing()
import folder_paths, nodes, torch
folder_paths.set_input_directory(folder)

uses_ffmpeg = "VideoFromFile" in nodes.LoadImage.load_image.__code__.co_names
# What FFmpeg does not read goes to Pillow there as well, but without scaling 32 bits of grey: all is white.
worse_there = {"32-bit.tif"} if uses_ffmpeg else set()
for name in sorted(set(os.listdir(folder)) - worse_there):
    path = os.path.join(folder, name)
    try:
        image, mask = nodes.LoadImage().load_image(name)
    except Exception as error:
        print("core fails on", name, type(error).__name__)
        continue
    if mask.shape[1:] == (64, 64) != image.shape[1:3]:
        mask = torch.zeros(image.shape[:3])
    found = image_decoder.ImageFile(Path(path), name, video.image_reader(path)).decode()
    if not (torch.equal(found[0], image) and torch.equal(found[1], mask)):
        print("different:", name)
"""


@pytest.mark.skipif(
    "COMFYUI_PATH" not in os.environ, reason="COMFYUI_PATH does not name a check-out of ComfyUI"
)
def test_comfyui_itself_reads_every_file_the_same_way(tmp_path):
    core = Path(os.environ["COMFYUI_PATH"]).resolve()
    python = os.environ.get("COMFYUI_PYTHON", sys.executable)
    for name, data in ODD_IMAGES.items():
        (tmp_path / name).write_bytes(data)
    root = ROOT
    ran = subprocess.run(
        [python, "-c", COMPARE, str(root), str(tmp_path), str(core)],
        cwd=core,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert ran.returncode == 0, ran.stderr
    assert "different:" not in ran.stdout
