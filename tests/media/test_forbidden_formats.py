"""Which kinds of file FFmpeg may open for us: all but those that could name another file or address."""

from __future__ import annotations

import av
import films
import pytest
from av.format import ContainerFormat
from cloud_storage import errors
from cloud_storage.media import container, forbidden_formats
from cloud_storage.media.video import frame_sinks, frame_window, video_loader
from cloud_storage.system import thread_priority
from cloud_storage.system.meter import Meter

NAMES_FILES = (
    "hls",
    "concat",
    "dash",
    "imf",
    "image2",
    "sdp",
    "rtsp",
    "rtp",
    "sap",
    "lavfi",
    "vobsub",
    "tedcaptions",
)


def demuxers():
    """FFmpeg's names of the kinds of file that the installed PyAV reads, and their flags."""
    found = {}
    for name in av.formats_available:
        try:
            found[name] = int(ContainerFormat(name, "r").flags)
        except ValueError:
            continue
    return found


def test_no_demuxer_that_names_files_or_opens_them_itself_is_allowed():
    allowed = container._allowed().split(",")
    assert "matroska" in allowed
    assert "mp3" in allowed
    for name, flags in demuxers().items():
        if name in NAMES_FILES or flags & 1:  # AVFMT_NOFILE
            assert not set(name.split(",")) & set(allowed), name


def test_every_reason_is_one_of_a_demuxer_that_some_ffmpeg_has():
    assert all(reason and name == name.lower() for name, reason in forbidden_formats.FORBIDDEN.items())


SCRIPTS = {
    "concat": "ffconcat version 1.0\nfile '{secret}'\n",
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{secret}\n#EXT-X-ENDLIST\n",
    "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period>'
    '<AdaptationSet><Representation id="0"><BaseURL>{secret}</BaseURL></Representation></AdaptationSet>'
    "</Period></MPD>",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n",
    "asx": '<asx version="3.0"><entry><ref href="{secret}"/></entry></asx>',
    "pls": "[playlist]\nFile1={secret}\n",
    "tedcaptions": '{{"captions":[{{"duration":1,"content":"x","startOfParagraph":false,"startTime":0}}]}}',
    "vobsub": "# VobSub index file, v7\nsize: 720x576\nid: en, index: 0\ntimestamp: 0, filepos: 0\n",
    "avisynth": 'AviSource("{secret}")',
    "ffmetadata": ";FFMETADATA1\ntitle=x\n",
    "lavfi": "movie={secret}",
    "text": "\x1b[31mletters\x1b[0m and more of them\n" * 50,
    "subtitles": "1\n00:00:00,000 --> 00:00:02,000\nwords\n",
}


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("on_disk", [True, False])
def test_a_file_that_names_another_opens_nothing(tmp_path, script, on_disk, monkeypatch):
    secret = films.write(tmp_path / "secret.mp4", films.KINDS["mp4"], films.numbered(3), 25)
    path = tmp_path / f"f.{script}"
    path.write_text(SCRIPTS[script].format(secret=secret))
    with path.open("rb") as file, pytest.raises(errors.MediaError):
        window = frame_window.Window()
        source = path if on_disk else file
        video_loader.load(source, "f", window, frame_sinks.Tensor(), Meter(), lambda: 1 << 40)


def test_even_an_allowed_demuxer_could_open_nothing_by_a_name(tmp_path, monkeypatch):
    """The second fence alone: with every demuxer allowed no protocol is."""
    monkeypatch.setattr(container, "_allowed", lambda: ",".join(demuxers()))
    secret = films.write(tmp_path / "secret.mp4", films.KINDS["mp4"], films.numbered(3), 25)
    for script in ("concat", "hls"):
        path = tmp_path / f"f.{script}"
        path.write_text(SCRIPTS[script].format(secret=secret))
        with pytest.raises(errors.MediaError):
            video_loader.load(
                path, "f", frame_window.Window(), frame_sinks.Tensor(), Meter(), lambda: 1 << 40
            )


# ------------------------------------------------------------------------------ what is taken all the same


_FINE = {"qscale": "2"}
_QUIET = {"x265-params": "log-level=error"}
FILMS = {
    "y4m": films.Kind("y4m", "wrapped_avframe", muxer="yuv4mpegpipe"),
    "raw h264": films.Kind("h264", muxer="h264", encoder_options={"g": "12"}),
    "raw h265": films.Kind("hevc", "libx265", muxer="hevc", encoder_options=_QUIET),
    "raw mpeg video": films.Kind("m2v", "mpeg2video", muxer="mpeg2video", encoder_options=_FINE),
    "raw mpeg 4": films.Kind("m4v", "mpeg4", muxer="m4v", encoder_options=_FINE),
    "nut": films.Kind("nut", muxer="nut", sound="pcm_s16le"),
    "mxf": films.Kind("mxf", "mpeg2video", muxer="mxf", encoder_options=_FINE),
    "flv": films.Kind("flv", muxer="flv"),
    "ivf": films.Kind("ivf", "libvpx-vp9", muxer="ivf"),
    "mpeg": films.Kind("mpg", "mpeg2video", muxer="mpeg", encoder_options=_FINE),
    "ogv": films.Kind("ogv", "libvpx", muxer="ogg"),
    "png in nut": films.Kind("nut", "png", "rgb24", muxer="nut"),
}


@pytest.mark.parametrize("kind", FILMS)
def test_any_kind_of_video_is_loaded(tmp_path, kind):
    row = FILMS[kind]
    if row.encoder not in av.codecs_available:
        pytest.skip(f"this PyAV has no {row.encoder}")
    path = films.write(tmp_path / "f.bin", row, films.numbered(30), 25)
    loaded = video_loader.load(
        path, "f", frame_window.Window(), frame_sinks.Tensor(), Meter(), lambda: 1 << 40, "fail"
    )
    assert films.numbers(loaded.frames) == list(range(30))
    assert loaded.rate == 25


@pytest.mark.parametrize("count", [1, 5])
def test_an_animated_avif_is_a_video_and_a_still_one_an_image(tmp_path, count):
    kind = films.Kind("avif", "libsvtav1", muxer="avif", encoder_options={"preset": "8"})
    with thread_priority.kept():
        path = films.write(tmp_path / "f.avif", kind, films.numbered(count), 25)
    window = frame_window.Window()
    if count == 1:
        with pytest.raises(errors.MediaError, match=r"an AVIF image.*Load Image from Cloud"):
            video_loader.load(path, "f", window, frame_sinks.Tensor(), Meter(), lambda: 1 << 40)
    else:
        loaded = video_loader.load(path, "f", window, frame_sinks.Tensor(), Meter(), lambda: 1 << 40)
        assert films.numbers(loaded.frames) == list(range(count))


@pytest.mark.parametrize("brand", [b"heic", b"heix", b"mif1", b"avif"])
def test_a_photograph_of_boxes_is_sent_to_the_node_for_it(tmp_path, brand):
    (tmp_path / "f.mp4").write_bytes(b"\0\0\0\x18ftyp" + brand + b"\0\0\0\0mif1heic" + bytes(200))
    with pytest.raises(errors.MediaError, match="Load Image from Cloud"):
        video_loader.load(
            tmp_path / "f.mp4", "f", frame_window.Window(), frame_sinks.Tensor(), Meter(), lambda: 1 << 40
        )
