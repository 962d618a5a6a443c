"""AUDIO to a file of sound.

Every sample that a format can hold is kept: FLAC and WAV have 24 bits, and as many samples as came in.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from ...errors import MediaError, sentence
from ...system.meter import Meter
from ..audio_stream import MP3, SoundEncoder
from ..formats import FLAC, OPUS, PCM, SoundCodec
from ..output_file import Output
from ..workflow_metadata import Metadata

AUTO = "auto"


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


MAX_RATE = 2**31 - 1  # what FFmpeg counts with


def clips(audio: Any) -> tuple[torch.Tensor, int]:  # noqa: ANN401  whatever is wired to the node
    """The batch [B, C, T] of an AUDIO and its rate in Hz, for which any mapping and any array is taken.

    Whole numbers are what WAV files have: the most that fit into their type are 1. Raises MediaError for what
    is no AUDIO.
    """
    if audio is None:
        raise _refusal(
            "its input", "there is no sound", "The video or node that it comes from may have none."
        )
    try:
        waveform, rate = torch.as_tensor(audio["waveform"]), int(audio["sample_rate"])
        if not waveform.is_floating_point():
            waveform = waveform / -torch.iinfo(waveform.dtype).min
    except (TypeError, LookupError, ValueError, AttributeError, RuntimeError, OverflowError) as error:
        said = f"it has no waveform and sample_rate that are numbers ({type(error).__name__})"
        raise _refusal("its input", said, "Wire AUDIO to the node.") from error
    if waveform.ndim == 2:  # noqa: PLR2004  one clip without its batch, as some nodes give it
        waveform = waveform[None]
    if waveform.is_meta or waveform.is_sparse:
        raise _refusal("its input", "its samples are not there", "Wire AUDIO to the node.")
    if waveform.ndim != 3 or 0 in waveform.shape or not 1 <= rate <= MAX_RATE:  # noqa: PLR2004
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


def _refusal(what: str, said: str, advice: str) -> MediaError:
    return MediaError(sentence("encode the sound", what, said, advice))
