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


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", len(body), kind) + body + struct.pack(">I", zlib.crc32(kind + body))


def _in_png(data: bytes, *chunks: bytes) -> bytes:
    """A PNG with further chunks before its pixels."""
    start = data.index(b"IDAT") - 4
    return data[:start] + b"".join(chunks) + data[start:]


def _in_jpeg(data: bytes, kind: int, body: bytes) -> bytes:
    return data[:2] + bytes((0xFF, kind)) + struct.pack(">H", len(body) + 2) + body + data[2:]


def _in_webp(data: bytes, kind: bytes, body: bytes, flag: int) -> bytes:
    """A WebP in its extended form with a chunk of metadata behind the pixels."""
    size = struct.pack("<I", WIDTH - 1)[:3] + struct.pack("<I", HEIGHT - 1)[:3]
    alpha = 0x10 if data[12:16] == b"VP8L" else 0
    header = b"VP8X" + struct.pack("<IB3x", 10, flag | alpha) + size
    chunks = header + data[12:] + kind + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)
    return b"RIFF" + struct.pack("<I", len(chunks) + 4) + b"WEBP" + chunks


# No EXIF at all, one that ends in its header, a directory without an end, an orientation of no known type
_JUNK_EXIF = {
    "noise": b"\x8a\x01 no exif at all" * 9,
    "header": b"II*\0",
    "endless": b"II*\0\x08\0\0\0" + b"\xff\xff" + b"\x12\x01\x02\0" * 40,
    "type": b"II*\0\x08\0\0\0\x01\0" + b"\x12\x01\x63\0\xff\xff\xff\xff\x06\0\0\0" + bytes(4),
}


def junk_metadata() -> dict[str, tuple[bytes, bytes]]:
    """Files with whole pixels beside which something cannot be read, and the same without it, by name."""
    images = odd_images()
    png, jpeg, webp, grey = (images[name] for name in ("rgb.png", "rgb.jpg", "lossless.webp", "grey.png"))
    bomb = b"x\0\0" + zlib.compress(bytes(1 << 27), 9)
    found = {
        "iccp.png": (_in_png(png, _chunk(b"iCCP", b"name\0\0not zlib")), png),
        "iccp-bomb.png": (_in_png(png, _chunk(b"iCCP", bomb)), png),
        "ztxt-bomb.png": (_in_png(png, _chunk(b"zTXt", bomb)), png),
        "itxt.png": (_in_png(png, _chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\7\0\0\xff\xfe")), png),
        "text-sum.png": (_in_png(png, _chunk(b"tEXt", b"a\0b")[:-4] + b"\0\0\0\0"), png),
        "gama.png": (_in_png(png, _chunk(b"gAMA", b"\0")), png),
        "chrm.png": (_in_png(png, _chunk(b"cHRM", b"\0\1")), png),
        "phys.png": (_in_png(png, _chunk(b"pHYs", b"\0")), png),
        "trns.png": (_in_png(png, _chunk(b"tRNS", b"\0")), png),
        "trns-grey.png": (_in_png(grey, _chunk(b"tRNS", b"")), grey),
        "trns-large.png": (_in_png(grey, _chunk(b"tRNS", b"\xff\xff")), grey),
        "actl.png": (_in_png(png, _chunk(b"acTL", b"\0\0")), png),
        "icc.jpg": (_in_jpeg(jpeg, 0xE2, b"ICC_PROFILE\0\xff\0junk"), jpeg),
        "mpf.jpg": (_in_jpeg(jpeg, 0xE2, b"MPF\0II*\0\xff\xff\xff\xff"), jpeg),
        "photoshop.jpg": (_in_jpeg(jpeg, 0xED, b"Photoshop 3.0\08BIM\x03\xed\0\0\0\0\xff\xff"), jpeg),
        "xmp.jpg": (_in_jpeg(jpeg, 0xE1, b"http://ns.adobe.com/xap/1.0/\0<tiff:Orientation>x<\xff"), jpeg),
        "comment.jpg": (_in_jpeg(jpeg, 0xFE, b"\xff\xfe" * 9), jpeg),
        "xmp.webp": (_in_webp(webp, b"XMP ", b"<\xff\xfe tiff:Orientation", 0x04), webp),
        "icc.webp": (_in_webp(webp, b"ICCP", b"junk", 0x20), webp),
    }
    for name, junk in _JUNK_EXIF.items():
        found[f"exif-{name}.png"] = (_in_png(png, _chunk(b"eXIf", junk)), png)
        found[f"exif-{name}.jpg"] = (_in_jpeg(jpeg, 0xE1, b"Exif\0\0" + junk), jpeg)
        found[f"exif-{name}.webp"] = (_in_webp(webp, b"EXIF", junk, 0x08), webp)
        text = b"Raw profile type exif\0\nexif\n 9\n" + junk.hex().encode()
        found[f"exif-text-{name}.png"] = (_in_png(png, _chunk(b"tEXt", text)), png)
    return found
