"""Tables of the formats and codecs that video and audio can be saved as."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeVar

AUTO = "auto"
# FFmpeg's layout for each number of channels: AAC, Opus and FLAC take all of them.
LAYOUTS = ("mono", "stereo", "3.0", "quad", "5.0", "5.1", "6.1", "7.1")
NAMED_LAYOUTS = frozenset(
    {
        *("2.1", "3.0(back)", "3.1", "4.0", "4.1", "quad(side)", "5.0(side)", "5.1(side)"),
        *("6.0", "6.1(back)", "7.0", "7.1(wide)"),
    }
)


_Row = TypeVar("_Row", "VideoCodec", "Container", "AudioFormat")


def _table(rows: Iterable[_Row]) -> Mapping[str, _Row]:
    return MappingProxyType({row.name: row for row in rows})


@dataclass(frozen=True)
class AudioCodec:
    """An audio encoder of PyAV, with its sample format and its maximum number of channels.

    ``rates`` are the sample rates that it takes, in Hz, ascending; empty for any. For a number of channels in
    ``discrete`` the file does not name the speakers, and ``options`` are passed to the encoder. ``layouts``
    are the layouts that it keeps besides LAYOUTS.
    """

    encoder: str
    sample_format: str
    max_channels: int
    rates: tuple[int, ...] = ()
    bits_per_channel: int = 0  # bit rate; 0 if it cannot be chosen
    discrete: tuple[int, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)
    layouts: frozenset[str] = frozenset()

    def rate(self, rate: int) -> int:
        """Return the sample rate to encode at: ``rate``, else the next higher one, else the highest."""
        if not self.rates or rate in self.rates:
            return rate
        return next((known for known in self.rates if known > rate), self.rates[-1])


MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
AAC_RATES = (7350, *MP3_RATES, 64000, 88200, 96000)
AAC = AudioCodec("aac", "fltp", 8, AAC_RATES, 96_000, layouts=frozenset({"2.1", "3.0(back)", "4.0"}))
MP3 = AudioCodec("libmp3lame", "fltp", 2, MP3_RATES)
# FFmpeg 8's encoder swaps channels of 5.0 and 6.1. Mapping family 255, discrete channels without speakers
# (rfc-editor.org/rfc/rfc7845#section-5.1.1.4), keeps their order.
OPUS = AudioCodec(
    encoder="libopus",
    sample_format="flt",
    max_channels=255,
    rates=(8000, 12000, 16000, 24000, 48000),
    bits_per_channel=96_000,
    discrete=(5, 7, *range(9, 256)),
    options={"mapping_family": "255"},
)
FLAC = AudioCodec("flac", "s32", 8, layouts=NAMED_LAYOUTS)  # its encoder keeps 24 of the 32 bits
PCM = AudioCodec("pcm_s24le", "s32", 65_535)


@dataclass(frozen=True)
class VideoCodec:
    """PyAV's encoders for a video codec, with their options. The first one that is installed is used.

    ``crf`` is the default quality, lower is better, at most ``max_crf``. Each codec's own guide calls the
    result at this value visually lossless or close to it (trac.ffmpeg.org/wiki/Encode). ``min_side`` is the
    smallest width and height in pixels. ``deep``: its encoders and players support 10 bits, which HDR needs.
    ``keeps_aspect``: it stores the pixel aspect ratio.
    """

    name: str
    encoders: Mapping[str, Mapping[str, str]]
    crf: int
    max_crf: int
    keeps_alpha: bool = False
    min_side: int = 2
    deep: bool = False
    keeps_aspect: bool = False


CODECS = _table(
    (
        VideoCodec("h264", {"libx264": {"preset": "medium"}}, 19, 51, keeps_aspect=True),
        # x265 ends the process for some frames smaller than its largest block.
        VideoCodec(
            "h265",
            {"libx265": {"x265-params": "log-level=error"}},
            crf=22,
            max_crf=51,
            min_side=64,
            deep=True,
            keeps_aspect=True,
        ),
        VideoCodec(
            "vp9",
            {"libvpx-vp9": {"deadline": "good", "cpu-used": "4", "row-mt": "1"}},
            crf=26,
            max_crf=63,
            keeps_alpha=True,
        ),
        # SVT-AV1 refuses smaller frames, or never ends.
        VideoCodec(
            "av1",
            {"libsvtav1": {"preset": "8"}, "libaom-av1": {"cpu-used": "6", "row-mt": "1"}},
            crf=28,
            max_crf=63,
            deep=True,
            min_side=16,
        ),
    )
)


@dataclass(frozen=True)
class Container:
    """A format for video files. ``name`` is also the file's extension.

    ``codecs`` are those that it can be encoded with, the default first; ``audio`` encodes its audio.
    ``video_held`` and ``audio_held`` are FFmpeg's names of the codecs that it can hold as a copy. ``options``
    are the muxer's. ``plays``: browsers play it. ``keeps_aspect``: it stores the pixel aspect ratio;
    Matroska could, but PyAV does not pass it on to the muxer.
    """

    name: str
    content_type: str
    muxer: str
    codecs: tuple[str, ...]
    audio: AudioCodec | None
    video_held: frozenset[str]
    audio_held: frozenset[str] = frozenset()
    options: Mapping[str, str] = field(default_factory=dict)
    keeps_workflow: bool = True
    plays: bool = True
    keeps_aspect: bool = False


_MP4_VIDEO = frozenset({"h264", "hevc", "av1"})
_MP4_AUDIO = frozenset({"aac", "mp3", "opus", "flac", "ac3", "eac3", "alac"})
_WEBM_VIDEO = frozenset({"vp8", "vp9", "av1"})
_WEBM_AUDIO = frozenset({"opus", "vorbis"})
# In the order in which auto tries them.
CONTAINERS = _table(
    (
        # faststart: the index at the start, so that playback begins before the download ends.
        # use_metadata_tags: tags of any name, where ComfyUI keeps the workflow (VideoFromFile.save_to).
        Container(
            "mp4",
            "video/mp4",
            "mp4",
            ("h264", "h265", "av1"),
            AAC,
            _MP4_VIDEO,
            _MP4_AUDIO,
            {"movflags": "faststart+use_metadata_tags"},
            keeps_aspect=True,
        ),
        Container("webm", "video/webm", "webm", ("vp9", "av1"), OPUS, _WEBM_VIDEO, _WEBM_AUDIO),
        Container(
            "mkv",
            "video/x-matroska",
            "matroska",
            ("h264", "h265", "vp9", "av1"),
            FLAC,
            _MP4_VIDEO | _WEBM_VIDEO | {"mpeg4", "mpeg2video", "prores", "ffv1", "mjpeg"},
            _MP4_AUDIO | _WEBM_AUDIO | {"pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f32le"},
            plays=False,
        ),
        Container("gif", "image/gif", "gif", (), None, frozenset({"gif"}), keeps_workflow=False),
    )
)
FORMATS = (AUTO, *CONTAINERS)
CODEC_CHOICES = (AUTO, *CODECS)


@dataclass(frozen=True)
class AudioFormat:
    """A format for audio files. ``name`` is also the file's extension.

    ``qualities`` maps the node's choices to bit rates, 0 for mp3's best variable bit rate (V0); empty for a
    lossless format. ``tags``: it stores any tag; otherwise one comment holds all of them.
    """

    name: str
    content_type: str
    muxer: str
    codec: AudioCodec
    qualities: Mapping[str, int] = field(default_factory=dict)
    default_quality: str = ""
    tags: bool = True
    options: Mapping[str, str] = field(default_factory=dict)


_BIT_RATES = {"64k": 64_000, "96k": 96_000, "128k": 128_000, "192k": 192_000, "320k": 320_000}
AUDIO_FORMATS = _table(
    (
        AudioFormat("flac", "audio/flac", "flac", FLAC),
        AudioFormat("mp3", "audio/mpeg", "mp3", MP3, {"V0": 0, **_BIT_RATES}, "V0"),
        # rf64: files above 4 GiB, which plain WAV cannot hold (EBU Tech 3306)
        AudioFormat("wav", "audio/wav", "wav", PCM, tags=False, options={"rf64": "auto"}),
        AudioFormat("opus", "audio/ogg", "ogg", OPUS, _BIT_RATES, "128k"),
    )
)
AUDIO_QUALITIES = (AUTO, "V0", *_BIT_RATES)
