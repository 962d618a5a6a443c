"""Encodes AUDIO as an audio file.

FLAC and WAV keep 24 bits of every sample, at the sample rate of the input.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from ...errors import MediaError, sentence
from ...system.meter import Meter
from ..formats import AUTO, MP3, AudioFormat
from ..output_file import Output
from ..workflow_metadata import Metadata
from .audio_stream_encoder import AudioStreamEncoder

MAX_RATE = 2**31 - 1  # FFmpeg's


def clips(audio: Any) -> tuple[torch.Tensor, int]:  # noqa: ANN401  whatever is wired to the node
    """Return the batch [B, C, T] of an AUDIO and its sample rate in Hz.

    Takes any mapping with any kind of array. Integers, as in WAV files, are divided by the maximum of their
    type. Raises MediaError for anything else.
    """
    if audio is None:
        raise _refusal(
            "its input", "there is no audio", "The video or node that it comes from may have none."
        )
    try:
        waveform, rate = torch.as_tensor(audio["waveform"]), int(audio["sample_rate"])
        if not waveform.is_floating_point():
            waveform = waveform / -torch.iinfo(waveform.dtype).min
    except (TypeError, LookupError, ValueError, AttributeError, RuntimeError, OverflowError) as error:
        said = f"it has no waveform and sample_rate that are numbers ({type(error).__name__})"
        raise _refusal("its input", said, "Connect AUDIO to the node.") from error
    if waveform.ndim == 2:  # noqa: PLR2004  one clip without a batch, as some nodes return it
        waveform = waveform[None]
    if waveform.is_meta or waveform.is_sparse:
        raise _refusal("its input", "its samples are not in memory", "Connect AUDIO to the node.")
    if waveform.ndim != 3 or 0 in waveform.shape or not 1 <= rate <= MAX_RATE:  # noqa: PLR2004
        said = f"{' x '.join(map(str, waveform.shape))} samples at {rate} Hz are not audio"
        raise _refusal("its input", said, "Connect AUDIO of batch x channels x samples.")
    return waveform, rate


def encode(
    clip: torch.Tensor,
    rate: int,
    form: AudioFormat,
    quality: str,
    metadata: Metadata | None,
    target: Path,
    meter: Meter,
) -> tuple[str, ...]:
    """Write one clip [channels, samples] to ``target``. Returns a sentence for each thing that is lost.

    ``quality`` is one of the format's, or ``auto``. The clip is resampled if the codec needs another sample
    rate. Raises MediaError or TransferCancelled and removes the file.
    """
    bits = _bit_rate(form, quality)
    channels = min(clip.shape[0], form.codec.max_channels) if form.codec is MP3 else clip.shape[0]
    notes: tuple[str, ...] = ()
    if channels < clip.shape[0]:
        notes = (f"An {form.name} file has at most {channels} channels: the audio was mixed down.",)
    samples = clip.detach().cpu().float().numpy()
    tags: dict[str, str] = {}
    if metadata is not None:
        tags, notes = _tags(form, metadata), notes + metadata.notes
    what = f"{clip.shape[0]} channels at {rate} Hz as {form.name}"
    try:
        with Output(target, form, tags, "encode the audio", what) as output:
            encoder = AudioStreamEncoder(
                output, replace(form.codec, bits_per_channel=0), channels, rate, meter
            )
            if bits:
                encoder.stream.codec_context.bit_rate = bits
            elif form.qualities:
                encoder.stream.codec_context.qscale = True  # with FFmpeg's default quality of 0: V0
            encoder.add(samples)
            encoder.finish()
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    return notes


def _bit_rate(form: AudioFormat, quality: str) -> int:
    """Return the bit rate, 0 for none. Raises MediaError for a quality that the format does not have."""
    if not form.qualities:
        return 0
    if quality == AUTO:
        quality = form.default_quality
    if quality not in form.qualities:
        said = f"{form.name} has no quality {quality}"
        raise _refusal(quality, said, f"Choose {AUTO} or one of {', '.join(form.qualities)}.")
    return form.qualities[quality]


def _tags(form: AudioFormat, metadata: Metadata) -> dict[str, str]:
    if form.tags:
        return dict(metadata.texts)
    whole = {key: json.loads(text) for key, text in metadata.texts.items()}
    return {"comment": json.dumps(whole)} if whole else {}


def _refusal(what: str, said: str, advice: str) -> MediaError:
    return MediaError(sentence("encode the audio", what, said, advice))
