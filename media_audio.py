"""AUDIO to a file of sound, and any file that holds sound to AUDIO.

Every sample that a format can hold is kept: FLAC and WAV have 24 bits, and as many samples as came in. Files
are read by range where the source is one, from a little before the first sample wanted.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from .errors import MediaError, sentence
from .media_container import DEMUXERS, opened, sound_stream
from .media_film import SOUND_LEAD_SECONDS, leave_out_others, rewind
from .media_length import File, is_cut_off
from .media_metadata import Metadata
from .media_output import Output
from .media_sound import FLAC, MP3, OPUS, PCM, Recorder, SoundCodec, SoundEncoder
from .meter import Meter

AUTO = "auto"
MICROSECONDS = 1_000_000  # a second in FFmpeg's own unit
MISSING_SECONDS = Fraction(1, 10)  # behind the last sample that do not count as missing: rounding, padding


@dataclass(frozen=True)
class Format:
    """A kind of file that sound can be saved as.

    ``qualities`` maps what the node offers to bits a second, 0 for the best that varies (mp3's V0); empty
    where everything is kept. ``tags`` says whether any tag finds a place, else all go into one comment.
    """

    name: str
    extension: str
    content_type: str
    muxer: str
    codec: SoundCodec
    qualities: Mapping[str, int] = field(default_factory=dict)
    usual_quality: str = ""
    tags: bool = True
    options: Mapping[str, str] = field(default_factory=dict)


_RATES = {"64k": 64_000, "96k": 96_000, "128k": 128_000, "192k": 192_000, "320k": 320_000}

FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        row.name: row
        for row in (
            Format("flac", "flac", "audio/flac", "flac", FLAC),
            Format("mp3", "mp3", "audio/mpeg", "mp3", MP3, {"V0": 0, **_RATES}, "V0"),
            # rf64: more than 4 GiB, which the plain form cannot hold (EBU Tech 3306)
            Format("wav", "wav", "audio/wav", "wav", PCM, tags=False, options={"rf64": "auto"}),
            Format("opus", "opus", "audio/ogg", "ogg", OPUS, _RATES, "128k"),
        )
    }
)
QUALITIES = (AUTO, "V0", *_RATES)


def clips(audio: Mapping[str, Any] | None) -> tuple[torch.Tensor, int]:
    """The batch [B, C, T] of an AUDIO, which may be of any mapping, and its rate in Hz. Raises MediaError."""
    if audio is None:
        raise _refusal(
            "its input", "there is no sound", "The video or node that it comes from may have none."
        )
    waveform, rate = audio["waveform"], int(audio["sample_rate"])
    if waveform.ndim == 2:  # noqa: PLR2004  one clip without its batch, as some nodes give it
        waveform = waveform[None]
    if waveform.ndim != 3 or 0 in waveform.shape or rate < 1:  # noqa: PLR2004
        said = f"{' x '.join(map(str, waveform.shape))} samples at {rate} Hz are no sound"
        raise _refusal("its input", said, "Wire AUDIO of batch x channels x samples.")
    return waveform, rate


def encode(
    clip: torch.Tensor,
    rate: int,
    form: Format,
    quality: str,
    metadata: Metadata | None,
    target: Path,
    meter: Meter,
) -> tuple[str, ...]:
    """Write one clip [channels, samples] to ``target``; returns in plain sentences what of it is lost.

    ``quality`` is one of the format's, or ``auto``. What the codec takes at other rates only is resampled.
    Raises MediaError, TransferCancelled; then there is no file.
    """
    bits = _bits(form, quality)
    channels = min(clip.shape[0], form.codec.max_channels) if form.codec is MP3 else clip.shape[0]
    notes: tuple[str, ...] = ()
    if channels < clip.shape[0]:
        notes = (f"An {form.name} holds {channels} channels: it was mixed down.",)
    samples = clip.detach().cpu().float().numpy()
    tags: dict[str, str] = {}
    if metadata is not None:
        tags, notes = _tags(form, metadata), notes + metadata.notes
    what = f"{clip.shape[0]} channels at {rate} Hz as {form.name}"
    try:
        with Output(target, form.muxer, form.options, tags, "encode the sound", what) as output:
            voice = SoundEncoder(output, replace(form.codec, bits_per_channel=0), channels, rate, meter)
            if bits:
                voice.stream.codec_context.bit_rate = bits
            elif form.qualities:
                voice.stream.codec_context.qscale = True  # with FFmpeg's global quality of 0 that is V0
            voice.add(samples)
            voice.finish()
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    return notes


def _bits(form: Format, quality: str) -> int:
    """Bits a second, 0 for none. Raises MediaError for a quality that the format does not have."""
    if not form.qualities:
        return 0
    if quality == AUTO:
        quality = form.usual_quality
    if quality not in form.qualities:
        said = f"{form.name} has no quality {quality}"
        raise _refusal(quality, said, f"Choose {AUTO} or one of {', '.join(form.qualities)}.")
    return form.qualities[quality]


def _tags(form: Format, metadata: Metadata) -> dict[str, str]:
    if form.tags:
        return dict(metadata.texts)
    whole = {key: json.loads(text) for key, text in metadata.texts.items()}
    return {"comment": json.dumps(whole)} if whole else {}


def load(
    source: File | Path, name: str, start_seconds: float, duration_seconds: float, meter: Meter
) -> dict[str, Any]:
    """The sound of a file as AUDIO with a waveform [1, channels, samples]; 0 seconds long is to its end.

    Runs in a worker thread, stopped by ``meter``. Raises MediaError for what has no sound, ends before
    ``start_seconds``, or is damaged or cut off within the window; what the source raises; TransferCancelled.
    """
    if start_seconds < 0 or duration_seconds < 0:
        raise _unreadable(name, "start and duration are not negative", "Set them to 0 or more.")
    start = Fraction(start_seconds).limit_denominator(MICROSECONDS)
    end = start + Fraction(duration_seconds).limit_denominator(MICROSECONDS) if duration_seconds else None
    with opened(source, name, "a sound") as container:
        stream = sound_stream(container)
        if stream is None:
            raise _unreadable(name, "there is no sound in it", "Load Video from Cloud reads pictures.")
        leave_out_others(container, [stream])
        recorder = _recorded(container, stream, start, end, meter)
        if end is None or recorder.seconds < end:
            _refuse_if_short(source, container, stream, recorder, name)
        if recorder.seconds <= start:
            said = f"it is {float(recorder.seconds):.2f} s long and {float(start):.2f} s are to be skipped"
            raise _unreadable(name, said, "Set start_seconds lower.")
        samples = recorder.window(start, None if end is None else min(end, recorder.seconds))
    return {"waveform": torch.from_numpy(samples)[None], "sample_rate": recorder.rate}


def _recorded(container: Any, stream: Any, start: Fraction, end: Fraction | None, meter: Meter) -> Recorder:  # noqa: ANN401
    """The sound from ``start`` or a little earlier on; from the very start where seeking missed it."""
    zero = Fraction(container.start_time or 0, MICROSECONDS)
    instant = start - SOUND_LEAD_SECONDS
    if instant > 0 and DEMUXERS[container.format.name].seeks:
        container.seek(round((zero + instant) / stream.time_base), stream=stream)
        recorder = Recorder(zero)
        frames = _frames(container, stream, meter)
        first = next(frames, None)
        if first is not None and first.pts is not None and first.pts * first.time_base - zero <= start:
            return _fed(recorder, first, frames, start, end)
        rewind(container)
    frames = _frames(container, stream, meter)
    return _fed(Recorder(zero), next(frames, None), frames, start, end)


def _fed(
    recorder: Recorder,
    first: Any,  # noqa: ANN401
    frames: Iterator[Any],
    start: Fraction,
    end: Fraction | None,
) -> Recorder:
    if first is not None:
        recorder.add(first)
        for frame in frames:
            recorder.add(frame)
            recorder.forget(start)
            if end is not None and recorder.seconds >= end:
                break
    return recorder


def _frames(container: Any, stream: Any, meter: Meter) -> Iterator[Any]:  # noqa: ANN401
    import av

    for packet in container.demux(stream):
        meter.check()
        with contextlib.suppress(
            av.InvalidDataError
        ):  # a moment of silence; a missing end is told afterwards
            yield from packet.decode()


def _refuse_if_short(
    source: File | Path,
    container: Any,  # noqa: ANN401
    stream: Any,  # noqa: ANN401
    recorder: Recorder,
    name: str,
) -> None:
    advice = "Upload it again; duration_seconds loads what is there."
    if not recorder.rate:
        raise _unreadable(name, "no sound can be decoded from it", "Upload it again.")
    if DEMUXERS[container.format.name].tells_length and stream.duration is not None:
        declared = stream.duration * stream.time_base
        if recorder.seconds < declared - max(MISSING_SECONDS, declared / 50):
            said = f"{float(recorder.seconds):.2f} of {float(declared):.2f} s of it are there"
            raise _unreadable(name, said, advice)
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(source.open("rb")) if isinstance(source, Path) else source
        if is_cut_off(file):
            raise _unreadable(name, f"the file is cut off behind {float(recorder.seconds):.2f} s", advice)


def _unreadable(name: str, said: str, advice: str) -> MediaError:
    return MediaError(sentence("read a sound", name, said, advice))


def _refusal(what: str, said: str, advice: str) -> MediaError:
    return MediaError(sentence("encode the sound", what, said, advice))
