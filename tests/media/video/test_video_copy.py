"""Films of other makers, saved: copied where the result can be played, else encoded, and a line says why."""

from __future__ import annotations

import json
import os
import shutil
import subprocess

import av
import films
import numpy as np
import pytest
from cloud_storage import errors
from cloud_storage.media.video import video_plan, video_writer
from cloud_storage.media.video.video_plan import VideoFile
from cloud_storage.system.meter import Meter

# Where CI is set the tests run without it, and fail.
NO_FFMPEG = shutil.which("ffmpeg") is None and not os.environ.get("CI")
X265 = ("-x265-params", "log-level=error")
pytestmark = pytest.mark.skipif(NO_FFMPEG, reason="ffmpeg, which judges the files, is not installed")


def ffmpeg(*arguments):
    subprocess.run(["ffmpeg", "-v", "error", "-y", *map(str, arguments)], check=True, timeout=300)


def probe(path):
    """What ffprobe says of the streams."""
    run = subprocess.run(
        ["ffprobe", "-v", "error", "-show_streams", "-of", "json", str(path)],
        capture_output=True,
        check=True,
        timeout=300,
    )
    return json.loads(run.stdout)["streams"]


def hashes(path, stream="v:0"):
    """Of every decoded picture, by ffmpeg: [its time, its hash]."""
    run = subprocess.run(
        ["ffmpeg", "-v", "error", "-xerror", "-i", str(path), "-map", f"0:{stream}", "-f", "framemd5", "-"],
        capture_output=True,
        check=True,
        text=True,
        timeout=300,
    )
    return [line.split(",")[-1].strip() for line in run.stdout.splitlines() if not line.startswith("#")]


def made(path, name="mkv", count=50, sound=True, **options):
    kind = films.KINDS[name]
    tones = films.tones(2, count / 25) if sound and kind.sound else None
    return films.write(path, kind, films.numbered(count), 25, sound=tones, **options)


def save(source, format="auto", codec="auto", crf=-1):
    plan = video_plan.plan(VideoFile(source), format, codec, crf)
    target = source.parent / f"saved.{plan.container.name}"
    notes = video_writer.write(plan, VideoFile(source), target, None, Meter())
    return target, plan, notes


# --------------------------------------------------------------------------------- what is copied

# the codec, its options, what it is held in, and the formats that take it as it is
CODECS = {
    "h264": (["libx264", "-bf", "2", "-g", "12"], ("mkv", "mp4", "mov", "ts"), ("mp4", "mkv")),
    "hevc": (["libx265", *X265, "-g", "12"], ("mkv", "mp4", "mov", "ts"), ("mp4", "mkv")),
    "vp9": (["libvpx-vp9", "-cpu-used", "8"], ("mkv", "mp4", "webm"), ("webm", "mkv")),
    "av1": (["libaom-av1", "-cpu-used", "8", "-g", "12"], ("mkv", "mp4", "webm"), ("mp4", "webm", "mkv")),
    "ffv1": (["ffv1"], ("mkv", "mov"), ("mkv",)),
    "prores": (["prores_ks"], ("mkv", "mov"), ("mkv",)),
    "mjpeg": (["mjpeg", "-pix_fmt", "yuvj420p"], ("mkv", "mp4", "mov"), ("mkv",)),
    "mpeg4": (["mpeg4"], ("mkv", "mp4", "mov", "ts"), ("mkv",)),
}


@pytest.mark.parametrize(("name", "held_in"), [(name, one) for name in CODECS for one in CODECS[name][1]])
def test_a_copy_of_every_codec_is_played_by_others(tmp_path, name, held_in):
    options, _, formats = CODECS[name]
    source = tmp_path / f"source.{held_in}"
    ffmpeg("-i", made(tmp_path / "first.mkv", sound=False), "-c:v", *options, source)
    before = hashes(source)
    assert len(before) == 50
    for format in formats:
        path, plan, notes = save(source, format)
        assert (plan.copies, notes) == (True, ()), format
        assert hashes(path) == before, format


@pytest.mark.parametrize("held_in", ["mkv", "mp4"])
def test_hevc_is_called_hvc1_in_an_mp4_whatever_it_was_called(tmp_path, held_in):
    source = tmp_path / f"source.{held_in}"
    tag = ["-tag:v", "hev1"] if held_in == "mp4" else []
    ffmpeg("-i", made(tmp_path / "first.mp4", "mp4"), "-c:a", "copy", "-c:v", "libx265", *X265, *tag, source)
    path, plan, _ = save(source, "mp4")
    assert plan.copies
    assert probe(path)[0]["codec_tag_string"] == "hvc1"


def test_a_video_with_tracks_that_cannot_be_decoded_is_copied_without_them(tmp_path):
    source = tmp_path / "source.mov"
    first = made(tmp_path / "first.mp4", "mp4")
    ffmpeg(
        *("-i", first, "-map", "0:v", "-map", "0:a", "-map", "0:a", "-c", "copy"),
        *("-timecode", "01:00:00:00", source),
    )
    data = source.read_bytes()
    # The second track of sound becomes one like an iPhone's: four letters that no decoder knows.
    second = data.index(b"stsd", data.rindex(b"smhd"))
    size = int.from_bytes(data[second - 4 : second], "big")
    entry = data[second : second + size].replace(b"mp4a", b"apac").replace(b"esds", b"free")
    source.write_bytes(data[:second] + entry + data[second + size :])
    path, plan, notes = save(source)
    assert (plan.copies, path.suffix) == (True, ".mp4")
    tracks = [stream.get("codec_name", "timecode") for stream in probe(path)]
    if int(av.__version__.split(".")[0]) >= 18:
        assert tracks == ["h264", "aac", "timecode"]
        assert notes == ("Left out: 1 audio track that cannot be decoded.",)
    else:
        assert tracks == ["h264", "aac"]
        assert notes == ("Left out: 1 audio track that cannot be decoded, 1 timecode track.",)
    assert hashes(path) == hashes(first)
    assert hashes(path, "a:0") == hashes(first, "a:0")


def test_subtitles_are_left_out_and_that_is_told(tmp_path):
    (tmp_path / "words.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\nHello\n")
    source = tmp_path / "source.mkv"
    first = made(tmp_path / "first.mkv")
    ffmpeg("-i", first, "-i", tmp_path / "words.srt", "-c", "copy", "-c:s", "srt", source)
    for crf in (-1, 40):
        assert save(source, crf=crf)[2] == ("Left out: 1 subtitle track.",)


def test_a_second_audio_track_is_copied_and_if_it_cannot_be_a_note_says_so(tmp_path):
    source = tmp_path / "source.mkv"
    first = made(tmp_path / "first.mkv")
    ffmpeg("-i", first, "-map", "0:v", "-map", "0:a", "-map", "0:a", "-c", "copy", source)
    path, _, notes = save(source)
    assert (len(probe(path)), notes) == (3, ())
    path, _, notes = save(source, crf=40)
    assert (len(probe(path)), notes) == (2, ("Left out: 1 audio track.",))


@pytest.mark.parametrize("turn", ["90", "180", "270", "hflip", "vflip"])
@pytest.mark.parametrize("format", ["mp4", "mkv"])
def test_a_copy_is_displayed_as_upright_as_the_video(tmp_path, turn, format):
    first = made(tmp_path / "first.mp4", "mp4", 10, sound=False)
    source = tmp_path / "source.mp4"
    source.write_bytes(turned(first.read_bytes(), turn))
    path, _, _ = save(source, format)
    # ffmpeg turns what it decodes
    assert frames_by_ffmpeg(path).shape == frames_by_ffmpeg(source).shape
    assert np.abs(frames_by_ffmpeg(path).astype(int) - frames_by_ffmpeg(source)).mean() < 3


_MATRICES = {
    "90": (0, 1, -1, 0),
    "180": (-1, 0, 0, -1),
    "270": (0, -1, 1, 0),
    "hflip": (-1, 0, 0, 1),
    "vflip": (1, 0, 0, -1),
    "transpose": (0, 1, 1, 0),
}


def turned(data, turn):
    """The bytes of an MP4 with another matrix in the header of its first track (ISO/IEC 14496-12, 8.3.2)."""
    a, b, c, d = (value * 65536 for value in _MATRICES[turn])
    at = data.index(b"tkhd") + 4 + 40
    matrix = np.array([a, b, 0, c, d, 0, 0, 0, 1 << 30], ">i4").tobytes()
    assert len(matrix) == 36
    return data[:at] + matrix + data[at + 36 :]


def frames_by_ffmpeg(path):
    """[count, height, width, 3] of uint8, upright and of square pixels as ffmpeg decodes them."""
    size = subprocess.run(
        ["ffmpeg", "-v", "error", "-i", str(path), "-frames:v", "1", "-f", "image2pipe", "-c:v", "ppm", "-"],
        capture_output=True,
        check=True,
        timeout=300,
    ).stdout
    width, height = map(int, size.split(b"\n")[1].split())
    raw = subprocess.run(
        ["ffmpeg", "-v", "error", "-i", str(path), "-f", "rawvideo", "-pix_fmt", "rgb24", "-"],
        capture_output=True,
        check=True,
        timeout=300,
    ).stdout
    return np.frombuffer(raw, np.uint8).reshape(-1, height, width, 3)


# -------------------------------------------------------------------------------- what is encoded


def test_what_the_muxer_refuses_is_encoded_and_the_reason_told(tmp_path):
    source = tmp_path / "source.mkv"
    ffmpeg(*("-i", made(tmp_path / "first.mkv"), "-c:v", "copy", "-c:a", "libmp3lame", "-ar", "8000", source))
    path, plan, notes = save(source, "mp4")
    assert plan.copies
    assert len(notes) == 1
    assert notes[0].startswith("It could not be copied as it is and was encoded: the mp4 muxer refuses it: ")
    assert [stream["codec_name"] for stream in probe(path)] == ["h264", "aac"]
    assert len(hashes(path)) == 50


@pytest.mark.parametrize(
    ("name", "format", "words"),
    [
        ("webm", "mp4", "mp4 cannot contain vp9"),
        ("mp4", "webm", "webm cannot contain h264 and aac"),
        ("mp4", "gif", "gif cannot contain h264 and aac"),
        ("avi", "auto", "has no presentation times"),
    ],
)
def test_a_line_says_why_a_file_is_encoded(tmp_path, name, format, words):
    source = made(tmp_path / f"source.{films.KINDS[name].ending}", name)
    assert any(words in note for note in save(source, format)[2])


@pytest.mark.parametrize(("codec", "crf"), [("h265", -1), ("auto", 40)])
def test_no_line_is_needed_where_the_user_asked_for_encoding(tmp_path, codec, crf):
    source = made(tmp_path / "source.mp4", "mp4")
    assert save(source, codec=codec, crf=crf)[2] == ()


def spoilt(target):
    """Damage the last tenth of a file's pictures."""
    with av.open(str(target)) as file:
        places = [(packet.pos, packet.size) for packet in file.demux(video=0) if packet.size]
    data = bytearray(target.read_bytes())
    for place, size in places:
        data[place : place + size] = b"\0" * size
    target.write_bytes(bytes(data))


def test_a_copy_that_cannot_be_decoded_is_replaced_by_an_encode(tmp_path, monkeypatch):
    real, seen = video_writer.check, []

    def check(target, wanted, meter):
        if not seen:
            seen.append(target)
            spoilt(target)
        real(target, wanted, meter)

    monkeypatch.setattr(video_writer, "check", check)
    source = made(tmp_path / "source.mp4", "mp4")
    path, plan, notes = save(source)
    assert plan.copies
    assert "was encoded: " in notes[0]
    assert "decoded" in notes[0]
    assert len(hashes(path)) == 50


def test_an_encode_that_cannot_be_decoded_is_an_error_and_no_file(tmp_path, monkeypatch):
    real = video_writer.check

    def check(target, wanted, meter):
        spoilt(target)
        real(target, wanted, meter)

    monkeypatch.setattr(video_writer, "check", check)
    source = made(tmp_path / "source.mp4", "mp4")
    with pytest.raises(errors.MediaError, match=r"decoded.*Try another format or codec"):
        save(source, crf=40)
    assert not list(tmp_path.glob("saved.*"))


def test_a_file_that_is_damaged_is_told_as_such(tmp_path):
    source = tmp_path / "source.mp4"
    source.write_bytes(made(tmp_path / "first.mp4", "mp4").read_bytes()[:2000])
    with pytest.raises(errors.MediaError, match=r"damaged or cut off.*Upload it again"):
        save(source)


@pytest.mark.parametrize(("first", "second"), [("5.1", "stereo"), ("stereo", "5.1"), ("mono", "stereo")])
@pytest.mark.parametrize("crf", [-1, 30])
def test_a_joined_video_whose_audio_changes_midway_is_saved_completely(tmp_path, first, second, crf):
    source = tmp_path / "source.ts"
    with source.open("wb") as whole:
        for layout in (first, second):
            part = tmp_path / f"{layout}.ts"
            ffmpeg(
                *("-f", "lavfi", "-i", "testsrc2=size=160x96:rate=25:duration=1"),
                *("-f", "lavfi", "-i", "sine=300:duration=1", "-c:v", "libx264", "-bf", "0"),
                *("-c:a", "aac", "-af", f"aformat=channel_layouts={layout}", "-ar", "48000", part),
            )
            whole.write(part.read_bytes())
    path, _, notes = save(source, "mp4", crf=crf)
    assert len(hashes(path)) == 50
    assert [stream["codec_name"] for stream in probe(path)] == ["h264", "aac"]
    # its times begin again, which no muxer takes
    assert any("was encoded: " in note for note in notes) == (crf == -1)


@pytest.mark.parametrize("layout", ["2.1", "3.0", "4.0", "5.1(side)", "6.0"])
@pytest.mark.parametrize(("format", "kept"), [("mkv", True), ("mp4", ("2.1", "4.0")), ("webm", ())])
def test_loudspeakers_keep_their_names_or_a_line_says_what_they_are_now(tmp_path, layout, format, kept):
    source = tmp_path / "source.mkv"
    ffmpeg(
        *("-i", made(tmp_path / "first.mkv", sound=False), "-f", "lavfi", "-i"),
        *(f"aevalsrc=0.1:channel_layout={layout}:d=1:s=48000", "-c:v", "copy", "-c:a", "flac", source),
    )
    path, _, notes = save(source, format, crf=40)
    with av.open(str(path)) as file:
        found = file.streams.audio[0].layout.name
    if kept is True or layout in kept:
        assert (found, notes) == (layout, ())
    elif layout in ("3.0", "5.1(side)"):  # the latter is what everybody plays as 5.1
        assert (found, notes) == (layout.removesuffix("(side)"), ())
    else:
        assert f"Its channel layout was {layout}, which cannot be kept" in notes[0]
