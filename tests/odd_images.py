"""Image files of every odd kind that a bucket may hold, made on the spot: name -> bytes."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 37, 53


def _pixels() -> np.ndarray:
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    slopes = np.stack([x * 255 // WIDTH, y * 255 // HEIGHT, (x * 3 + y * 5) % 256], axis=-1)
    return np.clip(slopes + np.random.default_rng(3).integers(-9, 9, slopes.shape), 0, 255).astype(np.uint8)


def saved(image: Image.Image, kind: str, append_images=(), **options) -> bytes:
    file = io.BytesIO()
    if append_images:  # as copies, like the image: a format leaves its settings on those it saves
        options["append_images"] = [further.copy() for further in append_images]
    image.copy().save(file, kind, **options)
    return file.getvalue()


def raw_png(colour_type: int, depth: int, rows: np.ndarray) -> bytes:
    """A PNG of samples that Pillow does not write, 16-bit colours for one."""
    height, width = rows.shape[:2]

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I4s", len(body), kind) + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def odd_images() -> dict[str, bytes]:
    pixels = _pixels()
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    alpha = ((x + y) * 255 // (HEIGHT + WIDTH)).astype(np.uint8)
    rgb, rgba = Image.fromarray(pixels), Image.fromarray(np.dstack([pixels, alpha]))
    grey = rgb.convert("L")
    palette = rgb.quantize(32)
    deep = np.random.default_rng(4).integers(0, 65536, (HEIGHT, WIDTH, 4)).astype(">u2")
    frames = [Image.fromarray(np.roll(pixels, 5 * step, 1)) for step in range(4)]
    faded = [
        Image.fromarray(np.dstack([frame, np.where(alpha > 90 + 20 * step, 255, 0).astype(np.uint8)]))
        for step, frame in enumerate(frames)
    ]
    all_frames = {"save_all": True, "append_images": frames[1:], "duration": 80}
    all_faded = {"save_all": True, "append_images": faded[1:], "duration": 80}

    def turned(image: Image.Image, kind: str, orientation: int, **options) -> bytes:
        exif = Image.Exif()
        exif[0x0112] = orientation
        return saved(image, kind, exif=exif, **options)

    images = {
        "rgb.png": saved(rgb, "PNG"),
        "rgba.png": saved(rgba, "PNG"),
        "grey.png": saved(grey, "PNG"),
        "grey-alpha.png": saved(Image.merge("LA", (grey, Image.fromarray(alpha))), "PNG"),
        "bilevel.png": saved(rgb.convert("1"), "PNG"),
        "palette.png": saved(palette, "PNG"),
        "palette-one-transparent.png": saved(palette, "PNG", transparency=3),
        "palette-translucent.png": saved(palette, "PNG", transparency=bytes(range(0, 256, 8))),
        "16-bit-rgb.png": raw_png(2, 16, deep[..., :3]),
        "16-bit-rgba.png": raw_png(6, 16, deep),
        "profile.png": saved(rgb, "PNG", icc_profile=b"not a profile"),
        "turned.png": turned(rgba, "PNG", 6),
        "animated.png": saved(frames[0], "PNG", **all_frames),
        "animated-alpha.png": saved(faded[0], "PNG", **all_faded),
        "rgb.jpg": saved(rgb, "JPEG", quality=90),
        "grey.jpg": saved(grey, "JPEG"),
        "cmyk.jpg": saved(rgb.convert("CMYK"), "JPEG"),
        "progressive.jpg": saved(rgb, "JPEG", progressive=True),
        "two-eyes.jpg": saved(rgb, "MPO", save_all=True, append_images=[frames[1]]),
        "no-end.jpg": saved(rgb, "JPEG")[:-2],
        "lossless.webp": saved(rgba, "WEBP", lossless=True, exact=True),
        "lossy.webp": saved(rgb, "WEBP", quality=80),
        "turned.webp": turned(rgb, "WEBP", 6, lossless=True),
        "animated.webp": saved(faded[0], "WEBP", lossless=True, **all_faded),
        "one.gif": saved(palette, "GIF"),
        "animated.gif": saved(frames[0], "GIF", **all_frames),
        "animated-transparent.gif": saved(faded[0], "GIF", disposal=2, **all_faded),
        "rgba.tif": saved(rgba, "TIFF"),
        "cmyk.tif": saved(rgb.convert("CMYK"), "TIFF"),
        "float.tif": saved(Image.fromarray(deep[..., 0].astype(np.float32) / 300), "TIFF"),
        "32-bit.tif": saved(Image.fromarray(deep[..., 0].astype(np.int32)), "TIFF"),
        "turned.tif": turned(rgb, "TIFF", 6),
        "pages.tif": saved(frames[0], "TIFF", save_all=True, append_images=frames[1:]),
        "pages-of-two-sizes.tif": saved(
            frames[0], "TIFF", save_all=True, append_images=[frames[1].resize((20, 30)), frames[2]]
        ),
        "sizes.ico": saved(rgba.resize((48, 48)), "ICO", sizes=[(16, 16), (32, 32), (48, 48)]),
        "rgb.bmp": saved(rgb, "BMP"),
        "rgba.tga": saved(rgba, "TGA"),
        "16-bit.pgm": b"P5 %d %d 65535\n" % (WIDTH, HEIGHT) + deep[..., 0].tobytes(),
        "cut-off.png": saved(rgb, "PNG")[:3000],
        "cut-off.jpg": saved(rgb, "JPEG", quality=90)[:1200],
    }
    for orientation in range(1, 9):
        images[f"turned-{orientation}.jpg"] = turned(rgb, "JPEG", orientation, subsampling=0)
    return images
