"""Which of the real files come out differently from the reference, and why that is right.

A file that is named here has to come out as it says: a row that no longer differs goes.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from real_files.compare import ONLY_HERE, ONLY_THERE, OTHER_SHAPE, OTHER_VALUES

LIBRARIES, OLD, NEW = "Pillow and FFmpeg", "ComfyUI 0.3", "ComfyUI 0.33"
PILLOW = (LIBRARIES, OLD)  # what reads images there

# Verdicts that need no row: where ComfyUI's own node fails, whatever is loaded is more. 0.33 reads images
# through FFmpeg, and asks Pillow only where that gives neither a frame nor an error: so of some eighty files.
ALWAYS_RIGHT: Mapping[str, set[str]] = {LIBRARIES: set(), OLD: {ONLY_HERE}, NEW: {ONLY_HERE}}


@dataclass(frozen=True)
class Difference:
    """Files of ``package`` that come out as ``verdict`` in the node, beside these references."""

    node: str
    package: str
    verdict: str
    reason: str
    references: tuple[str, ...]
    files: tuple[str, ...]


DIFFERENCES = (
    Difference(
        "image",
        "pillow",
        OTHER_VALUES,
        "16 bits of grey are kept; ComfyUI clips them to white, or cuts them to eight",
        PILLOW,
        (
            *("12bit.cropped.tif", "12in16bit.tif", "16_bit_noise.tif", "16bit.MM.cropped.tif"),
            *("16bit.MM.deflate.tif", "16bit.cropped.j2k", "16bit.cropped.jp2", "16bit.cropped.tif"),
            *("16bit.deflate.tif", "16bit.r.tif", "9bit.j2k", "cmx3g8_wv_1998.260_0745_mcidas.ara"),
            *("cmx3g8_wv_1998.260_0745_mcidas.tiff", "i_trns.png", "ifd_tag_type.tiff"),
            *("imagedraw_rectangle_I.tiff", "issue_6194.j2k", "m13.fits", "m13_gzip.fits"),
            "uint16_1_4660.tif",
        ),
    ),
    Difference(
        "image",
        "pillow",
        OTHER_VALUES,
        "colours that the file declares transparent are, as in newer ComfyUI",
        PILLOW,
        ("1_trns.png", "caption_6_33_22.png", "l_trns.png", "rgb_trns.png"),
    ),
    Difference(
        "image",
        "pillow",
        OTHER_VALUES,
        "the A of LAB is a colour; ComfyUI takes it for alpha",
        PILLOW,
        ("hopper.Lab.tif", "lab-green.tif", "lab-red.tif", "lab.tif"),
    ),
    Difference(
        "image",
        "pillow",
        ONLY_HERE,
        "the first picture is whole, and what follows it cannot be read: that is loaded, and a line says so",
        PILLOW,
        (
            *("apng/chunk_no_fctl.png", "apng/chunk_no_fdat.png", "apng/chunk_repeat_fctl.png"),
            *("apng/sequence_fdat_fctl.png", "apng/sequence_gap.png", "apng/sequence_reorder.png"),
            *("apng/sequence_reorder_chunk.png", "apng/sequence_repeat.png"),
            *("apng/sequence_repeat_chunk.png", "apng/sequence_start.png"),
            *("apng/syntax_num_frames_high.png", "decompression_bomb_extents.gif"),
            *("oom-8ed3316a4109213ca96fb8a256a0bfefdece1461.icns", "psd-oob-write-overflow.psd"),
            *("psd-oob-write-x.psd", "psd-oob-write-y.psd", "psd-oob-write.psd"),
            *("sugarshack_ifd_offset.mpo", "sugarshack_no_data.mpo"),
        ),
    ),
    Difference(
        "image",
        "pillow",
        ONLY_HERE,
        "a text beside the pixels is packed in no known way: it costs nothing but itself",
        PILLOW,
        ("unknown_compression_method.png",),
    ),
    Difference(
        "image",
        "hachoir",
        ONLY_HERE,
        "of four pictures in the raw photograph one has no size: the others are loaded, and a line says so",
        PILLOW,
        ("canon.raw.cr2",),
    ),
    Difference(
        "image",
        "pillow",
        OTHER_VALUES,
        "AVIF is read by Pillow: with its rotation and transparency, which FFmpeg leaves out",
        (NEW,),
        (
            *("avif/exif.avif", "avif/hopper-missing-pixi.avif", "avif/hopper.avif", "avif/icc_profile.avif"),
            *("avif/icc_profile_none.avif", "avif/rot0mir0.avif", "avif/rot0mir1.avif", "avif/rot1mir0.avif"),
            *("avif/rot1mir1.avif", "avif/rot2mir0.avif", "avif/rot2mir1.avif", "avif/rot3mir0.avif"),
            *("avif/rot3mir1.avif", "avif/transparency.avif", "avif/xmp_tags_orientation.avif"),
        ),
    ),
    Difference(
        "image",
        "pillow",
        OTHER_SHAPE,
        "all frames of an AVIF, all pages of a TIFF too large for ComfyUI's reader; FFmpeg gives one",
        (NEW,),
        ("avif/star.avifs", "g4-multi.tiff"),
    ),
    Difference(
        "image",
        "pillow",
        OTHER_VALUES,
        "16 bits of grey are kept; what FFmpeg does not read, ComfyUI clips to white",
        (NEW,),
        ("16_bit_binary_pgm.tiff", "m13_gzip.fits"),
    ),
    Difference(
        "image",
        "pillow",
        OTHER_VALUES,
        "a texture with a JPEG in it, of which FFmpeg reads the JPEG alone, in wrong colours",
        (NEW,),
        ("blp/blp1_jpeg.blp",),
    ),
    Difference(
        "image",
        "pillow",
        ONLY_THERE,
        "a HEIC photograph, of which FFmpeg gives a tile at most; and a document",
        (NEW,),
        ("avif/hopper.heif", "duplicate_xref_entry.pdf"),
    ),
    Difference(
        "image",
        "mutagen",
        ONLY_THERE,
        "a film: Load Video reads it, and the message says so; ComfyUI 0.33 takes it as a batch of images",
        (NEW,),
        ("sample.oggtheora",),
    ),
    Difference(
        "image",
        "hachoir",
        ONLY_THERE,
        "a film: Load Video reads it, and the message says so; ComfyUI 0.33 takes it as a batch of images",
        (NEW,),
        ("10min.mkv", "breakdance.flv", "flashmob.mkv", "quicktime.mp4", "sample.ts"),
    ),
    Difference(
        "image",
        "filetype",
        ONLY_THERE,
        "a film: Load Video reads it, and the message says so; ComfyUI 0.33 takes it as a batch of images",
        (NEW,),
        ("sample.mov", "sample.mp4"),
    ),
    Difference(
        "image",
        "pymediainfo",
        ONLY_THERE,
        "a film: Load Video reads it, and the message says so; ComfyUI 0.33 takes it as a batch of images",
        (NEW,),
        ("sample.mp4",),
    ),
    Difference(
        "image",
        "puremagic",
        ONLY_THERE,
        "a film: Load Video reads it, and the message says so; ComfyUI 0.33 takes it as a batch of images",
        (NEW,),
        (
            *("video/test.3g2", "video/test.avi", "video/test.flv", "video/test.mkv", "video/test.mp4"),
            *("video/test.mpg", "video/test.wmv"),
        ),
    ),
    Difference(
        "image",
        "filetype",
        OTHER_VALUES,
        "AVIF is read by Pillow: with its rotation and transparency, which FFmpeg leaves out",
        (NEW,),
        ("sample.avif",),
    ),
    Difference(
        "image",
        "filetype",
        ONLY_THERE,
        "a HEIC photograph, of which FFmpeg gives a tile at most",
        (NEW,),
        ("sample.heic",),
    ),
    Difference(
        "audio",
        "hachoir",
        ONLY_HERE,
        "one spot is damaged: the rest is loaded, and a line says so",
        (LIBRARIES, OLD, NEW),
        ("hotel_california.flac",),
    ),
    Difference(
        "audio",
        "mutagen",
        ONLY_HERE,
        "one spot is damaged: the rest is loaded, and a line says so",
        (LIBRARIES, OLD, NEW),
        ("52-too-short-block-size.flac", "issue_29.wma", "variable-block.flac"),
    ),
    Difference(
        "audio",
        "hachoir",
        OTHER_SHAPE,
        "the sound begins when the file says so, and what a decoder drops at its start leaves silence",
        (LIBRARIES, OLD, NEW),
        ("flashmob.mkv", "matrix_ping_pong.wmv"),
    ),
    Difference(
        "audio",
        "puremagic",
        OTHER_SHAPE,
        "the sound begins when the file says so, and lasts as long",
        (LIBRARIES, OLD, NEW),
        ("video/test.mpg", "video/test.wmv"),
    ),
    Difference(
        "video",
        "filetype",
        ONLY_THERE,
        "a photograph is no film: Load Image reads it, of FFmpeg's a tile at most",
        (LIBRARIES, OLD, NEW),
        ("sample.avif", "sample.heic"),
    ),
    Difference(
        "video",
        "puremagic",
        ONLY_THERE,
        "a photograph is no film: Load Image reads it",
        (LIBRARIES, OLD, NEW),
        ("images/test.avif",),
    ),
    Difference(
        "video",
        "mutagen",
        ONLY_HERE,
        "one spot is damaged: the rest is loaded, and a line says so",
        (LIBRARIES, OLD, NEW),
        ("sample_length.oggtheora",),
    ),
    Difference(
        "video",
        "hachoir",
        OTHER_VALUES,
        "the matrix of the colours is the one that the film names",
        (LIBRARIES, OLD, NEW),
        ("sample.ts",),
    ),
    Difference(
        "video",
        "puremagic",
        OTHER_VALUES,
        "the matrix of the colours is the one that the film names",
        (LIBRARIES, OLD, NEW),
        ("video/test.mkv",),
    ),
)


def reference() -> str:
    """What the files are compared with."""
    core = os.environ.get("COMFYUI_PATH")
    if not core:
        return LIBRARIES
    return OLD if '"0.3.' in Path(core, "comfyui_version.py").read_text(encoding="utf-8") else NEW


def of(node: str, against: str) -> dict[str, set[str]]:
    """The verdict that each file with a row has to have, by "package/name"."""
    return {
        f"{row.package}/{file}": {row.verdict}
        for row in DIFFERENCES
        if row.node == node and against in row.references
        for file in row.files
    }
