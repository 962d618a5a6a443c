"""Films and sounds whose content says what it is: every frame carries its number, every channel its tone.

A number stands in the green of ten blocks, two rows of five, light for one and dark for nought. Turned or
mirrored it reads as another one. Codecs and scaling leave blocks of that size alone.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import torch

WIDTH, HEIGHT = 160, 96
BITS, COLUMNS, ROWS = 10, 5, 2
LIGHT, DARK = 230, 25
SOUND_RATE = 48_000
HAS_INDEX = hasattr(av.video.stream.VideoStream, "index_entries")  # PyAV 17 and newer: a film's index
CLICK_SECONDS = Fraction(1, 2)  # between two clicks of ``clicks``


def picture(number: int, width: int = WIDTH, height: int = HEIGHT, channels: int = 3) -> np.ndarray:
    """[height, width, channels] of uint8 that carries ``number``; red grows to the right, alpha downwards."""
    pixels = np.zeros((height, width, channels), np.uint8)
    pixels[..., 0] = np.linspace(0, 255, width)[None]
    for bit in range(BITS):
        row, column = divmod(bit, COLUMNS)
        top, bottom = row * height // ROWS, (row + 1) * height // ROWS
        left, right = column * width // COLUMNS, (column + 1) * width // COLUMNS
        pixels[top:bottom, left:right, 1] = LIGHT if number >> bit & 1 else DARK
    if channels > 3:
        pixels[..., 3] = np.linspace(0, 255, height)[:, None]
    return pixels


def number(frame: torch.Tensor) -> int:
    """The number that a frame [H, W, C] in 0..1 carries."""
    height, width = frame.shape[:2]
    found = 0
    for bit in range(BITS):
        row, column = divmod(bit, COLUMNS)
        y, x = (2 * row + 1) * height // (2 * ROWS), (2 * column + 1) * width // (2 * COLUMNS)
        found |= int(frame[y - 2 : y + 3, x - 2 : x + 3, 1].mean() > 0.5) << bit
    return found


def numbers(frames: Iterable[torch.Tensor]) -> list[int]:
    return [number(frame) for frame in frames]


def tones(channels: int, seconds: float = 1, rate: int = SOUND_RATE) -> np.ndarray:
    """[channels, samples]: a tone in each, 150 Hz in the first and 100 Hz more in each further one.

    The fourth of six and eight is the bass channel, of which codecs keep only deep tones: 60 Hz.
    """
    time = np.arange(round(seconds * rate)) / rate
    pitches = [150 + 100 * channel for channel in range(channels)]
    if channels in (6, 8):
        pitches[3] = 60
    return np.stack([0.4 * np.sin(2 * np.pi * pitch * time) for pitch in pitches]).astype(np.float32)


def pitches(samples: np.ndarray, rate: int) -> list[int]:
    """The loudest tone of each channel, in Hz to the nearest 10."""
    middle = samples[:, samples.shape[1] // 8 : -samples.shape[1] // 8]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(middle.shape[1])))
    return [round(int(peak) * rate / middle.shape[1] / 10) * 10 for peak in spectrum.argmax(axis=1)]


def clicks(seconds: float, rate: int = SOUND_RATE, channels: int = 2) -> np.ndarray:
    """[channels, samples]: silence with a short loud burst every CLICK_SECONDS, from the first sample on."""
    samples = np.zeros((channels, round(seconds * rate)), np.float32)
    burst = 0.8 * np.sin(2 * np.pi * 1000 * np.arange(rate // 100) / rate)
    for start in range(0, samples.shape[1], int(CLICK_SECONDS * rate)):
        part = samples[:, start : start + len(burst)]
        part += burst[: part.shape[1]]
    return samples


def click_times(samples: np.ndarray, rate: int) -> list[float]:
    """The instants in seconds at which the bursts of ``clicks`` begin."""
    loud = np.abs(samples[0]) > 0.2
    starts = [
        int(index) for index in np.flatnonzero(loud) if not loud[max(0, index - rate // 50) : index].any()
    ]
    return [start / rate for start in starts]


@dataclass(frozen=True)
class Kind:
    """How a film is written: file name's ending, muxer, encoder, pixel format and their options."""

    ending: str
    encoder: str = "libx264"
    pixel_format: str = "yuv420p"
    muxer: str | None = None
    muxer_options: Mapping[str, str] = field(default_factory=dict)
    encoder_options: Mapping[str, str] = field(default_factory=dict)
    sound: str = "aac"


# By degrees against the clock: see ``shown_by``.
TURNS = {90: (0, -1, 1, 0), 180: (-1, 0, 0, -1), 270: (0, 1, -1, 0)}
_GROUPS = {"g": "12", "bf": "2"}  # groups of pictures short enough to meet several in a short film
KINDS = {
    "mp4": Kind("mp4", muxer_options={"movflags": "faststart"}, encoder_options=_GROUPS),
    "mp4, index at its end": Kind("mp4", encoder_options=_GROUPS),
    "mp4, open groups": Kind(
        "mp4", encoder_options={**_GROUPS, "x264-params": "open-gop=1:keyint=12:bframes=3"}
    ),
    "mp4, fragmented": Kind(
        "mp4",
        muxer_options={"movflags": "frag_keyframe+empty_moov+default_base_moof"},
        encoder_options=_GROUPS,
    ),
    "mov": Kind("mov", encoder_options=_GROUPS, sound="pcm_s16le"),
    "mkv": Kind("mkv", encoder_options=_GROUPS, sound="flac"),
    "webm": Kind("webm", "libvpx-vp9", encoder_options={"g": "12", "cpu-used": "8"}, sound="libopus"),
    "gif": Kind("gif", "gif", "rgb8", sound=""),
    "avi": Kind("avi", encoder_options=_GROUPS, sound="pcm_s16le"),
    "ts": Kind("ts", encoder_options=_GROUPS),
}


def write(
    path: Path,
    kind: Kind,
    pictures: Sequence[np.ndarray],
    rate: Fraction | int = 25,
    instants: Sequence[Fraction] | None = None,
    sound: np.ndarray | None = None,
    sound_rate: int = SOUND_RATE,
    rotation: int = 0,
) -> Path:
    """A film of ``pictures`` at ``rate``, or shown at ``instants``, with sound [channels, samples]."""
    rate = Fraction(rate)
    with av.open(str(path), "w", format=kind.muxer, container_options=dict(kind.muxer_options)) as file:
        stream = file.add_stream(kind.encoder, rate=rate, options=dict(kind.encoder_options))
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = kind.pixel_format
        if instants is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        voice = None
        if sound is not None:
            voice = file.add_stream(kind.sound, rate=sound_rate, layout=f"{len(sound)} channels")
            if len(sound) <= 2:
                voice.codec_context.layout = ("mono", "stereo")[len(sound) - 1]
        sent = 0
        for index, pixels in enumerate(pictures):
            form = {1: "gray", 3: "rgb24", 4: "rgba"}[pixels.shape[2]]
            if pixels.dtype == np.uint16:
                form = "rgb48le"
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format=form)
            frame = frame.reformat(format=kind.pixel_format)
            frame.pts, frame.time_base = index, 1 / rate
            if instants is not None:
                frame.pts, frame.time_base = round(instants[index] * 1000), Fraction(1, 1000)
            file.mux(stream.encode(frame))
            if voice is not None:  # in step with the pictures, as films are
                until = min(sound.shape[1], round((index + 1) / rate * sound_rate))
                _speak(file, voice, sound[:, sent:until], sent, sound_rate)
                sent = until
        if voice is not None:
            _speak(file, voice, sound[:, sent:], sent, sound_rate)
            file.mux(voice.encode(None))
        file.mux(stream.encode(None))
    return shown_by(path, TURNS[rotation]) if rotation else path


def _speak(file, voice, samples, start, rate):
    if samples.shape[1]:
        packed = np.ascontiguousarray(samples.T, np.float32).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(packed, "flt", voice.codec_context.layout.name)
        frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
        for made in av.AudioResampler(voice.codec_context.format, voice.codec_context.layout, rate).resample(
            frame
        ):
            file.mux(voice.encode(made))


def numbered(count: int, **size: int) -> list[np.ndarray]:
    return [picture(index, **size) for index in range(count)]


def shown_by(path: Path, matrix: Sequence[int]) -> Path:
    """The MP4 or QuickTime film at ``path``, now to be shown by this matrix: where one step to the right in a
    stored picture leads, right and down, and one step down (ISO/IEC 14496-12, 8.3.2, in whole numbers).
    """
    data = bytearray(path.read_bytes())
    right_x, right_y, down_x, down_y = (number << 16 for number in matrix)
    header = data.index(b"tkhd") + 4  # the first track is that of the pictures
    struct.pack_into(">9i", data, header + 40, right_x, right_y, 0, down_x, down_y, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path
