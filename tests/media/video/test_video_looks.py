"""How a film is to be shown survives its encoding, or a line says what went: judged by ffmpeg and ffprobe."""

from __future__ import annotations

from fractions import Fraction

import films
import numpy as np
import pytest
from media.video.test_video_copy import NO_FFMPEG, ffmpeg, frames_by_ffmpeg, made, probe, save, turned

pytestmark = pytest.mark.skipif(NO_FFMPEG, reason="ffmpeg, which judges the files, is not installed")

# (format, codec) -> whether it can say what shape a pixel has
ENCODED = {
    ("mp4", "h264"): True,
    ("mp4", "h265"): True,
    ("mp4", "av1"): True,
    ("webm", "vp9"): False,
    ("webm", "av1"): False,
    ("mkv", "h264"): True,
    ("mkv", "h265"): True,
    ("mkv", "vp9"): False,
    ("gif", "auto"): False,
}


def shown_ratio(stream):
    """Width by height as a player shows it."""
    aspect = Fraction(stream.get("sample_aspect_ratio", "1:1").replace(":", "/"))
    return Fraction(stream["width"], stream["height"]) * (aspect or 1)


@pytest.mark.parametrize(("format", "codec"), ENCODED)
@pytest.mark.parametrize("aspect", ["16/11", "8/9"])
@pytest.mark.parametrize("lying", [False, True])
def test_a_video_keeps_its_aspect_ratio(tmp_path, format, codec, aspect, lying):
    source = tmp_path / "source.mp4"
    ffmpeg("-i", made(tmp_path / "first.mkv", count=5, sound=False), "-vf", f"setsar={aspect}", source)
    if lying:
        source.write_bytes(turned(source.read_bytes(), "90"))
    path, _, notes = save(source, format, codec, -1 if codec == "auto" else 30)
    (stream,) = probe(path)
    before = Fraction(160, 96) * Fraction(aspect)
    assert abs(float(shown_ratio(stream) / (1 / before if lying else before)) - 1) < 0.02
    stretched = any("not square" in note for note in notes)
    assert stretched != ENCODED[format, codec]
    if not stretched:
        assert {stream["width"], stream["height"]} == {160, 96}


@pytest.mark.parametrize("turn", ["90", "180", "270", "hflip", "vflip", "transpose"])
@pytest.mark.parametrize("format", ["mp4", "webm", "gif"])
def test_a_video_is_encoded_as_upright_as_it_is_displayed(tmp_path, turn, format):
    first = made(tmp_path / "first.mp4", "mp4", 5, sound=False)
    source = tmp_path / "source.mp4"
    source.write_bytes(turned(first.read_bytes(), turn))
    path, _, _ = save(source, format, crf=20 if format == "mp4" else -1)
    found, wanted = frames_by_ffmpeg(path), frames_by_ffmpeg(source)
    assert found.shape == wanted.shape
    assert np.abs(found.astype(int) - wanted).mean() < 8


# name -> (filter and options of ffmpeg, how the matrix is called, as HDR)
COLOURS = {
    "BT.601": ("smpte170m", "smpte170m", "smpte170m", "tv"),
    "BT.709": ("bt709", "bt709", "bt709", "tv"),
    "BT.709, full range": ("bt709", "bt709", "bt709", "pc"),
    "BT.2020": ("bt2020nc", "bt2020", "bt2020-10", "tv"),
    "nothing told": ("", "", "", ""),
    "PQ": ("bt2020nc", "bt2020", "smpte2084", "tv"),
    "HLG": ("bt2020nc", "bt2020", "arib-std-b67", "tv"),
}


def coloured(folder, name, pixel_format, encoder=("libx264",)):
    matrix, primaries, transfer, span = COLOURS[name]
    tags = [
        "-colorspace",
        matrix,
        "-color_primaries",
        primaries,
        "-color_trc",
        transfer,
        "-color_range",
        span,
    ]
    scale = f"scale=out_color_matrix={matrix.removesuffix('nc')}:out_range={span}," if matrix else ""
    source = folder / "source.mkv"
    ffmpeg(
        *(
            "-f",
            "lavfi",
            "-i",
            "testsrc2=size=160x96:rate=10:duration=0.5",
            "-vf",
            f"{scale}format={pixel_format}",
        ),
        *(*(tags if matrix else []), "-c:v", *encoder, source),
    )
    return source


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv444p", "yuv420p10le", "yuv422p"])
@pytest.mark.parametrize("name", list(COLOURS)[:5])
@pytest.mark.parametrize(("format", "codec"), [("mp4", "h264"), ("webm", "vp9"), ("mkv", "h265")])
def test_colours_stay_what_they_are(tmp_path, name, pixel_format, format, codec):
    source = coloured(tmp_path, name, pixel_format)
    path, _, notes = save(source, format, codec, 10)
    assert notes == ()
    found, wanted = frames_by_ffmpeg(path).astype(int), frames_by_ffmpeg(source).astype(int)
    # the middle of each bar of colour, a bar being an eighth of the width: 4:2:0 blurs edges
    assert np.abs(found - wanted).mean() < 6
    assert abs((found - wanted).mean(axis=(0, 1, 2))).max() < 2
    if COLOURS[name][0]:
        (stream,) = probe(path)
        tags = (stream["color_space"], stream["color_primaries"], stream["color_transfer"])
        assert tags == COLOURS[name][:3]
        assert stream.get("color_range", "tv") == "tv"


@pytest.mark.parametrize("name", ["PQ", "HLG"])
@pytest.mark.parametrize(
    ("format", "codec", "becomes"),
    [
        ("mp4", "auto", "hevc"),
        ("webm", "auto", "av1"),
        ("mkv", "auto", "hevc"),
        ("mp4", "av1", "av1"),
        ("mp4", "h265", "hevc"),
    ],
)
def test_hdr_keeps_its_ten_bits_and_its_tags(tmp_path, name, format, codec, becomes):
    source = coloured(tmp_path, name, "yuv420p10le")
    path, _, notes = save(source, format, codec, 20)
    (stream,) = probe(path)
    assert (stream["codec_name"], stream["pix_fmt"]) == (becomes, "yuv420p10le")
    tags = (stream["color_space"], stream["color_primaries"], stream["color_transfer"])
    assert tags == COLOURS[name][:3]
    assert not any("HDR" in note for note in notes)
    assert np.abs(frames_by_ffmpeg(path).astype(int) - frames_by_ffmpeg(source)).mean() < 5


@pytest.mark.parametrize(("format", "codec"), [("webm", "vp9"), ("mp4", "h264")])
def test_hdr_with_8_bits_keeps_its_tags_and_what_went_is_told(tmp_path, format, codec):
    path, _, notes = save(coloured(tmp_path, "PQ", "yuv420p10le"), format, codec, 20)
    (stream,) = probe(path)
    assert (stream["pix_fmt"], stream["color_transfer"]) == ("yuv420p", "smpte2084")
    assert any("8 bits" in note for note in notes)


def test_a_gif_of_hdr_says_what_went(tmp_path):
    source = coloured(tmp_path, "PQ", "yuv420p10le")
    assert any("no HDR" in note for note in save(source, "gif")[2])


@pytest.mark.parametrize(
    ("held_in", "encoder", "pixel_format"),
    [
        ("mov", "qtrle", "argb"),
        ("mov", "png", "rgba"),
        ("avi", "utvideo", "gbrap"),
        ("mov", "prores_ks", "yuva444p10le"),
        ("mkv", "ffv1", "yuva420p"),
    ],
)
def test_transparency_survives_an_encoding_where_the_format_is_left_to_us(
    tmp_path, held_in, encoder, pixel_format
):
    pictures = [films.picture(index, channels=4) for index in range(5)]
    raw = tmp_path / "raw"
    raw.write_bytes(np.stack(pictures).tobytes())
    source = tmp_path / f"source.{held_in}"
    ffmpeg(
        *("-f", "rawvideo", "-pix_fmt", "rgba", "-s", "160x96", "-r", "25", "-i", raw),
        *("-c:v", encoder, "-pix_fmt", pixel_format, source),
    )
    path, _, notes = save(source, crf=10)
    # auto keeps to what can hold the file
    assert path.suffix == (".mkv" if encoder in ("prores_ks", "ffv1") else ".webm")
    assert not any("transparency" in note for note in notes)
    alpha = tmp_path / "alpha"
    ffmpeg("-c:v", "libvpx-vp9", "-i", path, "-f", "rawvideo", "-pix_fmt", "rgba", alpha)
    found = np.frombuffer(alpha.read_bytes(), np.uint8).reshape(-1, 96, 160, 4)
    assert len(found) == 5
    assert np.abs(found[..., 3].astype(int) - np.stack(pictures)[..., 3]).max() < 16
    _, _, notes = save(source, "mp4", crf=20)
    assert "h264 has no transparency here: it was left out." in notes


@pytest.mark.parametrize("size", ["161x97", "163x96", "160x99"])
@pytest.mark.parametrize("format", ["mp4", "webm", "mkv"])
@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv444p", "gbrp"])
def test_a_file_of_odd_sides_is_padded_with_copies_of_its_edges(tmp_path, size, format, pixel_format):
    source = tmp_path / "source.mkv"
    width, height = map(int, size.split("x"))
    raw = tmp_path / "raw"
    raw.write_bytes(b"\xe0" * (5 * 3 * width * height))  # only black would differ from this by much
    ffmpeg(
        *("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", size, "-r", "5", "-i", raw),
        *("-c:v", "ffv1", "-pix_fmt", pixel_format, source),
    )
    path, _, _ = save(source, format, crf=10)
    (stream,) = probe(path)
    assert (stream["width"], stream["height"]) == (width + width % 2, height + height % 2)
    assert frames_by_ffmpeg(path).min() > 200
