"""Tables of what films and sound can be saved as: containers and codecs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass


@dataclass(frozen=True)
class SoundCodec:
    """How sound is encoded: PyAV's encoder, its sample format, and the most channels it takes.

    ``rates`` in Hz, ascending, are all it takes; empty for any. With one of the numbers of channels in
    ``discrete`` the file does not say which loudspeaker is which: ``options`` are then the encoder's.
    ``layouts`` are those it keeps beside the usual one of each number of channels.
    """

    encoder: str
    sample_format: str
    max_channels: int
    rates: tuple[int, ...] = ()
    bits_per_channel: int = 0  # a second; 0 where there is no choice
    discrete: tuple[int, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)
    layouts: frozenset[str] = frozenset()

    def rate(self, rate: int) -> int:
        """The rate to encode at: ``rate``, or the next higher one, or the highest."""
        if not self.rates or rate in self.rates:
            return rate
        return next((known for known in self.rates if known > rate), self.rates[-1])


AAC_RATES = (7350, 8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)
AAC = SoundCodec("aac", "fltp", 8, AAC_RATES, 96_000, layouts=frozenset({"2.1", "3.0(back)", "4.0"}))
# FFmpeg 8's encoder mixes up the channels of 5.0 and 6.1: a tone in each comes back in another's place. As a
# plain row of channels (mapping family 255, rfc-editor.org/rfc/rfc7845#section-5.1.1.4) each keeps its own.
OPUS = SoundCodec(
    encoder="libopus",
    sample_format="flt",
    max_channels=255,
    rates=(8000, 12000, 16000, 24000, 48000),
    bits_per_channel=96_000,
    discrete=(5, 7, *range(9, 256)),
    options={"mapping_family": "255"},
)
_NAMED = frozenset(
    {
        *("2.1", "3.0(back)", "3.1", "4.0", "4.1", "quad(side)", "5.0(side)", "5.1(side)"),
        *("6.0", "6.1(back)", "7.0", "7.1(wide)"),
    }
)
FLAC = SoundCodec("flac", "s32", 8, layouts=_NAMED)  # of whose bits its encoder keeps 24
PCM = SoundCodec("pcm_s24le", "s32", 65_535)
AUTO = "auto"


@dataclass(frozen=True)
class Codec:
    """How moving pictures are encoded: PyAV's encoders and their options, the first one that there is.

    ``crf`` is the quality where none is set, lower is better, up to ``max_crf``. The values are those at
    which each codec's own guide calls the result visually lossless or close to it
    (trac.ffmpeg.org/wiki/Encode). ``min_side`` in pixels is the least that its encoders take.
    ``deep``: its encoders and players know 10 bits, which HDR has. ``keeps_aspect``: it says what shape a
    pixel has.
    """

    name: str
    encoders: Mapping[str, Mapping[str, str]]
    crf: int
    max_crf: int
    keeps_alpha: bool = False
    min_side: int = 2
    deep: bool = False
    keeps_aspect: bool = False


CODECS: Mapping[str, Codec] = MappingProxyType(
    {
        row.name: row
        for row in (
            Codec("h264", {"libx264": {"preset": "medium"}}, 19, 51, keeps_aspect=True),
            # x265 ends the whole process for some pictures below the size of its largest block.
            Codec(
                "h265",
                {"libx265": {"x265-params": "log-level=error"}},
                crf=22,
                max_crf=51,
                min_side=64,
                deep=True,
                keeps_aspect=True,
            ),
            Codec(
                "vp9",
                {"libvpx-vp9": {"deadline": "good", "cpu-used": "4", "row-mt": "1"}},
                crf=26,
                max_crf=63,
                keeps_alpha=True,
            ),
            Codec(
                "av1",
                {"libsvtav1": {"preset": "8"}, "libaom-av1": {"cpu-used": "6", "row-mt": "1"}},
                crf=28,
                max_crf=63,
                deep=True,
                min_side=16,  # SVT-AV1 refuses smaller ones, or never ends
            ),
        )
    }
)


@dataclass(frozen=True)
class Container:
    """A kind of file that a film can be saved as.

    ``codecs`` are those it can be encoded with, the usual one first; ``sound`` encodes its sound. What it
    holds of other files as it is goes by FFmpeg's names: ``pictures_held``, ``sounds_held``. ``options`` are
    the muxer's. ``plays``: browsers show it. ``keeps_aspect``: it says what shape a pixel has; Matroska
    could, but PyAV does not tell its muxer.
    """

    name: str
    extension: str
    content_type: str
    muxer: str
    codecs: tuple[str, ...]
    sound: SoundCodec | None
    pictures_held: frozenset[str]
    sounds_held: frozenset[str] = frozenset()
    options: Mapping[str, str] = field(default_factory=dict)
    keeps_workflow: bool = True
    plays: bool = True
    keeps_aspect: bool = False


_MP4_PICTURES = frozenset({"h264", "hevc", "av1"})
_MP4_SOUNDS = frozenset({"aac", "mp3", "opus", "flac", "ac3", "eac3", "alac"})
_WEBM_PICTURES = frozenset({"vp8", "vp9", "av1"})
_WEBM_SOUNDS = frozenset({"opus", "vorbis"})
# In the order in which auto tries them.
CONTAINERS: Mapping[str, Container] = MappingProxyType(
    {
        row.name: row
        for row in (
            Container(
                "mp4",
                "mp4",
                "video/mp4",
                "mp4",
                ("h264", "h265", "av1"),
                AAC,
                _MP4_PICTURES,
                _MP4_SOUNDS,
                # faststart: the index in front, so that it plays while it loads. use_metadata_tags: tags of
                # any name, in which ComfyUI keeps the workflow (VideoFromFile.save_to).
                {"movflags": "faststart+use_metadata_tags"},
                keeps_aspect=True,
            ),
            Container(
                "webm", "webm", "video/webm", "webm", ("vp9", "av1"), OPUS, _WEBM_PICTURES, _WEBM_SOUNDS
            ),
            Container(
                "mkv",
                "mkv",
                "video/x-matroska",
                "matroska",
                ("h264", "h265", "vp9", "av1"),
                FLAC,
                _MP4_PICTURES | _WEBM_PICTURES | {"mpeg4", "mpeg2video", "prores", "ffv1", "mjpeg"},
                _MP4_SOUNDS | _WEBM_SOUNDS | {"pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f32le"},
                plays=False,
            ),
            Container("gif", "gif", "image/gif", "gif", (), None, frozenset({"gif"}), keeps_workflow=False),
        )
    }
)
FORMATS = (AUTO, *CONTAINERS)
CODEC_CHOICES = (AUTO, *CODECS)
