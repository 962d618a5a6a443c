"""What a film can be saved as, and how a given one gets there: copied as it is, or encoded.

``plan`` decides before anything is written, so that the name can have the real file's extension; ``write``
carries it out. Nothing here holds a whole film: frames go through one by one.
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
from ..container import demuxer, has_side_alpha, opened, picture_stream
from ..formats import AUTO, CODEC_CHOICES, CODECS, CONTAINERS, FORMATS, Codec, Container
from .video_check import playable_sounds

HDR_TRANSFERS = (16, 18)  # PQ and HLG, in ITU-T H.273
CRF_OF_CODEC = -1  # the node's default: each codec's own


@dataclass(frozen=True)
class Recording:
    """A film that is a file."""

    source: Path | io.BytesIO


@dataclass(frozen=True)
class Pictures:
    """A film as ComfyUI holds it: frames [B, H, W, 3 or 4] in 0..1, AUDIO or None, frames a second."""

    frames: torch.Tensor
    sound: Mapping[str, Any] | None
    rate: Fraction


Clip = Recording | Pictures
_NTSC = tuple(Fraction(1000 * whole, 1001) for whole in (24, 30, 48, 60, 72, 90, 96, 120, 144, 240))
_NTSC_TOLERANCE = Fraction(1, 200)  # 23.98 is meant as 24000/1001, and 24 is not
_MOST_PARTS = 1001  # the largest denominator of a rate in use
MOST_FRAMES_A_SECOND = 1000  # WebM and Matroska count milliseconds


def frame_rate(value: Any) -> Fraction:  # noqa: ANN401  whatever a VIDEO says
    """Frames a second as a fraction that a file can hold: 29.97 is 30000/1001, as cameras mean it.

    Raises MediaError for what is no rate.
    """
    try:
        exact = Fraction(value)
    except (TypeError, ValueError, OverflowError):
        exact = Fraction(0)
    for known in _NTSC:
        if abs(exact - known) < _NTSC_TOLERANCE:
            return known
    rate = exact.limit_denominator(_MOST_PARTS)
    if not 0 < rate <= MOST_FRAMES_A_SECOND:
        said = f"there are films of up to {MOST_FRAMES_A_SECOND} frames a second, and of more than 0"
        advice = "Set the frame rate of the node that makes the video."
        told = str(value) if isinstance(value, int | float | Fraction) and -1e9 < exact < 1e9 else "so many"  # noqa: PLR2004
        raise _refusal(f"{told} frames a second", said, advice)
    return rate


@dataclass(frozen=True)
class Plan:
    """What a film becomes: the kind of file, and whether it is copied as it is or encoded, with which codec.

    A GIF has no choice of codec: None. ``width`` and ``height`` are the film's own, in pixels. ``obstacle``
    is why a file is encoded that would be copied if it could, the end of a sentence; "" where there is
    nothing to tell.
    """

    container: Container
    copies: bool
    codec: Codec | None
    crf: int
    width: int
    height: int
    obstacle: str = ""


def plan(clip: Clip, format_name: str, codec_name: str, crf: int = CRF_OF_CODEC) -> Plan:
    """How to save ``clip``; the names are of FORMATS and CODEC_CHOICES, ``crf`` is -1 for the codec's own.

    With the codec left to ``auto``, and no crf set, a file is copied where the container can hold what is in
    it. Raises MediaError for what does not go together, for a file that is no film, and for no frames.
    """
    _check_names(format_name, codec_name)
    facts = _facts(clip)
    container = _container(facts, format_name, codec_name)
    codec = None
    if container.codecs:
        codec = CODECS[_usual(facts, container) if codec_name == AUTO else codec_name]
        _check_crf(codec, crf)
    would_copy = isinstance(clip, Recording) and codec_name == AUTO and crf == CRF_OF_CODEC
    obstacle = facts.obstacle(container) if would_copy else ""
    planned = Plan(container, False, codec, crf, facts.width, facts.height, obstacle)
    if would_copy and not obstacle:
        return replace(planned, copies=True)
    return encoded(planned)


def encoded(plan: Plan) -> Plan:
    """The same plan without copying. Raises MediaError where the codec takes no pictures of that size."""
    side = min(plan.width, plan.height)
    if plan.codec is not None and side + side % 2 < plan.codec.min_side:  # odd ones are made even
        said = f"{plan.codec.name} takes pictures of at least {plan.codec.min_side} pixels a side"
        others = [row.name for row in CODECS.values() if row.min_side < plan.codec.min_side]
        advice = f"Choose another codec ({', '.join(others)}), or enlarge the pictures."
        raise _refusal(f"{plan.width} x {plan.height} pixels as {plan.codec.name}", said, advice)
    return replace(plan, copies=False)


_ALPHA_UNUSED = ("gif", "apng")  # decoders that give an alpha channel, used or not


@dataclass(frozen=True)
class _Facts:
    """What decides how a film is saved. ``pictures`` and ``sounds`` are FFmpeg's names, of a file only."""

    width: int
    height: int
    transparent: bool = False
    hdr: bool = False
    demuxer: str = ""
    pictures: str = ""
    sounds: tuple[str, ...] = ()

    def fits(self, container: Container) -> bool:
        """Whether ``container`` takes what is in the file as it is."""
        return bool(self.demuxer) and not self.obstacle(container)

    def obstacle(self, container: Container) -> str:
        """Why ``container`` does not take what is in a file as it is, for a sentence; "" if it does."""
        if not demuxer(self.demuxer).copies:
            return f"a file of this kind ({self.demuxer}) does not tell when its pictures are shown"
        others = sorted(set(self.sounds) - container.sounds_held)
        if self.pictures not in container.pictures_held:
            others.insert(0, self.pictures)
        return f"{container.name} cannot hold {' and '.join(others)}" if others else ""


def _facts(clip: Clip) -> _Facts:
    if isinstance(clip, Pictures):
        return _facts_of_frames(clip.frames)
    name = clip.source.name if isinstance(clip.source, Path) else "the video"
    with opened(clip.source, name, "a video") as container:
        stream = picture_stream(container)
        if stream is None:
            raise _refusal(name, "it holds no moving pictures", "Wire a VIDEO that has some.")
        sounds = tuple(map(_codec_name, playable_sounds(container)))
        context = stream.codec_context
        parts = context.format.components if context.format is not None else ()
        has_alpha = context.name not in _ALPHA_UNUSED and any(part.is_alpha for part in parts)
        transparent = has_side_alpha(stream) or has_alpha
        return _Facts(
            stream.width,
            stream.height,
            transparent,
            int(context.color_trc) in HDR_TRANSFERS,
            container.format.name,
            _codec_name(stream),
            sounds,
        )


def _facts_of_frames(frames: torch.Tensor) -> _Facts:
    if frames.ndim != 4 or 0 in frames.shape or frames.shape[-1] not in (3, 4):  # noqa: PLR2004
        said = f"frames of {' x '.join(map(str, frames.shape))} are no film"
        raise _refusal("the frames", said, "Wire frames of batch x height x width x 3 or 4 channels.")
    _, height, width, channels = frames.shape
    return _Facts(width, height, channels > 3 and bool(frames[..., 3].min() < 1))  # noqa: PLR2004


def _codec_name(stream: Any) -> str:  # noqa: ANN401  a stream of PyAV
    """FFmpeg's name of what a stream holds, whichever decoder it chose for it."""
    codec = stream.codec_context.codec
    name = getattr(codec, "canonical_name", codec.name)
    return {"libdav1d": "av1"}.get(name, str(name))


def _container(facts: _Facts, format_name: str, codec_name: str) -> Container:
    if format_name != AUTO:
        container = CONTAINERS[format_name]
        if codec_name not in (AUTO, *container.codecs):
            others = [row.name for row in CONTAINERS.values() if codec_name in row.codecs]
            said = f"a {format_name} file holds no {codec_name} here"
            raise _refusal(codec_name, said, f"Choose {' or '.join(others)}, or leave the codec to auto.")
        return container
    rows = list(CONTAINERS.values())
    if codec_name != AUTO:
        return next(row for row in rows if codec_name in row.codecs)
    copying = next((row for row in rows if facts.fits(row)), None)
    return copying or CONTAINERS["webm" if facts.transparent else "mp4"]


def _usual(facts: _Facts, container: Container) -> str:
    """The codec that auto means: one that keeps transparency or HDR if there is some, else the first."""
    if facts.transparent:
        return next((name for name in container.codecs if CODECS[name].keeps_alpha), container.codecs[0])
    if facts.hdr:
        return next((name for name in container.codecs if CODECS[name].deep), container.codecs[0])
    return container.codecs[0]


def _check_names(format_name: str, codec_name: str) -> None:
    for name, known in ((format_name, FORMATS), (codec_name, CODEC_CHOICES)):
        if name not in known:
            raise _refusal(repr(name), "it is unknown", f"Choose one of {', '.join(known)}.")


def _check_crf(codec: Codec, crf: int) -> None:
    if crf > codec.max_crf or crf < CRF_OF_CODEC:
        said = f"{codec.name} takes a crf from 0 to {codec.max_crf}"
        raise _refusal(f"crf {crf}", said, f"{CRF_OF_CODEC} means its usual one, {codec.crf}.")


def _refusal(what: str, said: str, advice: str) -> MediaError:
    return MediaError(sentence("encode the video", what, said, advice))
