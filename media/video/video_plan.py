"""Plans how a video is saved: the format, and whether the file is copied or encoded.

The plan is made before anything is written, so that the name can have the right extension.
``video_writer.write`` carries it out.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch

from ...errors import MediaError, sentence
from ..container import (
    ALWAYS_ALPHA,
    demuxer,
    has_alpha_beside_frames,
    opened,
    playable_audio,
    video_stream,
)
from ..formats import AUTO, CODEC_CHOICES, CODECS, CONTAINERS, FORMATS, Container, VideoCodec

HDR_TRANSFERS = (16, 18)  # PQ and HLG in ITU-T H.273
CRF_OF_CODEC = -1  # the node's default: the codec's own crf


@dataclass(frozen=True)
class VideoFile:
    """A video in a file, on disk or in memory."""

    source: Path | io.BytesIO


@dataclass(frozen=True)
class VideoFrames:
    """A video in tensors: frames [B, H, W, 3 or 4] in 0..1, AUDIO or None, frames per second."""

    frames: torch.Tensor
    audio: Mapping[str, Any] | None
    rate: Fraction


Video = VideoFile | VideoFrames
_NTSC = tuple(Fraction(1000 * whole, 1001) for whole in (24, 30, 48, 60, 72, 90, 96, 120, 144, 240))
_NTSC_TOLERANCE = Fraction(1, 200)  # 23.98 becomes 24000/1001; 24 does not
_MAX_DENOMINATOR = 1001  # of the frame rates in use
MAX_FRAME_RATE = 1000  # WebM and Matroska count milliseconds


def frame_rate(value: Any) -> Fraction:  # noqa: ANN401  whatever a VIDEO has
    """Return a frame rate as a fraction that a file can hold: 29.97 becomes 30000/1001, the NTSC rate.

    Raises MediaError for anything that is no frame rate.
    """
    try:
        exact = Fraction(value)
    except (TypeError, ValueError, OverflowError):
        exact = Fraction(0)
    for known in _NTSC:
        if abs(exact - known) < _NTSC_TOLERANCE:
            return known
    rate = exact.limit_denominator(_MAX_DENOMINATOR)
    if not 0 < rate <= MAX_FRAME_RATE:
        said = f"a frame rate is above 0 and at most {MAX_FRAME_RATE} frames per second"
        advice = "Set the frame rate of the node that makes the video."
        is_short = isinstance(value, int | float | Fraction) and -1e9 < exact < 1e9  # noqa: PLR2004
        raise _refusal(f"{value if is_short else 'too many'} frames per second", said, advice)
    return rate


@dataclass(frozen=True)
class Plan:
    """How a video is saved: the format, and whether it is copied or encoded, with which codec.

    ``codec`` is None for GIF. ``width`` and ``height`` are those of the input, in pixels. ``obstacle`` is why
    a file is encoded although a copy would be preferred, as the end of a sentence; otherwise "".
    """

    container: Container
    copies: bool
    codec: VideoCodec | None
    crf: int
    width: int
    height: int
    obstacle: str = ""

    @property
    def result(self) -> str:
        return f"{self.width} x {self.height} pixels as {self.container.name}"


def plan(video: Video, format_name: str, codec_name: str, crf: int = CRF_OF_CODEC) -> Plan:
    """Return how to save ``video``. The names are of FORMATS and CODEC_CHOICES.

    With codec ``auto`` and the codec's own crf, a file is copied if the format can hold its streams. Raises
    MediaError for a format and codec that do not fit together, for a file without video, and for no frames.
    """
    for name, known in ((format_name, FORMATS), (codec_name, CODEC_CHOICES)):
        if name not in known:
            raise _refusal(repr(name), "it is unknown", f"Choose one of {', '.join(known)}.")
    facts = _facts(video)
    container = _container(facts, format_name, codec_name)
    codec = None
    if container.codecs:
        codec = CODECS[_default_codec(facts, container) if codec_name == AUTO else codec_name]
        if not CRF_OF_CODEC <= crf <= codec.max_crf:
            said = f"{codec.name} accepts a crf from 0 to {codec.max_crf}"
            raise _refusal(f"crf {crf}", said, f"{CRF_OF_CODEC} means its default, {codec.crf}.")
    would_copy = isinstance(video, VideoFile) and codec_name == AUTO and crf == CRF_OF_CODEC
    obstacle = facts.obstacle(container) if would_copy else ""
    copies = would_copy and not obstacle
    planned = Plan(container, copies, codec, crf, facts.width, facts.height, obstacle)
    return planned if copies else without_copying(planned)


def without_copying(plan: Plan) -> Plan:
    """Return the plan that encodes instead. Raises MediaError if the frames are too small for the codec."""
    side = min(plan.width, plan.height)
    if plan.codec is not None and side + side % 2 < plan.codec.min_side:  # odd sides become even
        said = f"{plan.codec.name} needs frames of at least {plan.codec.min_side} pixels a side"
        others = [row.name for row in CODECS.values() if row.min_side < plan.codec.min_side]
        advice = f"Choose another codec ({', '.join(others)}), or enlarge the frames."
        raise _refusal(f"{plan.width} x {plan.height} pixels as {plan.codec.name}", said, advice)
    return replace(plan, copies=False)


@dataclass(frozen=True)
class _Facts:
    """What the plan depends on. ``video`` and ``audio`` are FFmpeg's codec names, of a file only."""

    width: int
    height: int
    transparent: bool = False
    hdr: bool = False
    demuxer: str = ""
    video: str = ""
    audio: tuple[str, ...] = ()

    def obstacle(self, container: Container) -> str:
        """Return why ``container`` cannot hold a copy of the file, as part of a sentence; "" if it can."""
        if not demuxer(self.demuxer).copies:
            return f"a file of this kind ({self.demuxer}) has no presentation times"
        others = sorted(set(self.audio) - container.audio_held)
        if self.video not in container.video_held:
            others.insert(0, self.video)
        return f"{container.name} cannot contain {' and '.join(others)}" if others else ""


def _facts(video: Video) -> _Facts:
    if isinstance(video, VideoFrames):
        return _facts_of_frames(video.frames)
    name = video.source.name if isinstance(video.source, Path) else "the video"
    with opened(video.source, name, "a video") as container:
        stream = video_stream(container)
        if stream is None:
            raise _refusal(name, "it has no video", "Connect a VIDEO with frames.")
        context = stream.codec_context
        parts = context.format.components if context.format is not None else ()
        has_alpha = context.name not in ALWAYS_ALPHA and any(part.is_alpha for part in parts)
        transparent = has_alpha_beside_frames(stream) or has_alpha
        return _Facts(
            stream.width,
            stream.height,
            transparent,
            int(context.color_trc) in HDR_TRANSFERS,
            container.format.name,
            _codec_name(stream),
            tuple(map(_codec_name, playable_audio(container))),
        )


def _facts_of_frames(frames: torch.Tensor) -> _Facts:
    if frames.ndim != 4 or 0 in frames.shape or frames.shape[-1] not in (3, 4):  # noqa: PLR2004
        said = f"frames of {' x '.join(map(str, frames.shape))} are not a video"
        raise _refusal("the frames", said, "Connect frames of batch x height x width x 3 or 4 channels.")
    _, height, width, channels = frames.shape
    return _Facts(width, height, channels > 3 and bool(frames[..., 3].min() < 1))  # noqa: PLR2004


def _codec_name(stream: Any) -> str:  # noqa: ANN401  a stream of PyAV
    """Return FFmpeg's name of a stream's codec, whichever decoder is used for it."""
    codec = stream.codec_context.codec
    name = getattr(codec, "canonical_name", codec.name)
    return {"libdav1d": "av1"}.get(name, str(name))


def _container(facts: _Facts, format_name: str, codec_name: str) -> Container:
    if format_name != AUTO:
        container = CONTAINERS[format_name]
        if codec_name not in (AUTO, *container.codecs):
            others = [row.name for row in CONTAINERS.values() if codec_name in row.codecs]
            said = f"a {format_name} file cannot contain {codec_name} here"
            raise _refusal(codec_name, said, f"Choose {' or '.join(others)}, or leave the codec to auto.")
        return container
    rows = list(CONTAINERS.values())
    if codec_name != AUTO:
        return next(row for row in rows if codec_name in row.codecs)
    copying = next((row for row in rows if not facts.obstacle(row)), None)
    return copying or CONTAINERS["webm" if facts.transparent else "mp4"]


def _default_codec(facts: _Facts, container: Container) -> str:
    """Return the codec for auto: one that keeps transparency or HDR if the video has it, else the first."""

    def fits(codec: VideoCodec) -> bool:
        return codec.keeps_alpha if facts.transparent else codec.deep if facts.hdr else True

    return next((name for name in container.codecs if fits(CODECS[name])), container.codecs[0])


def _refusal(what: str, said: str, advice: str) -> MediaError:
    return MediaError(sentence("encode the video", what, said, advice))
