"""Sounds that others made: what their headers say is a hint, what can be decoded is given."""

from __future__ import annotations

import io
import struct
import wave
from fractions import Fraction

import av
import films
import numpy as np
import pytest
import torch
from cloud_storage import errors
from cloud_storage.media import memory_budget
from cloud_storage.media.audio import audio_encoder, audio_loader
from cloud_storage.media.formats import AUDIO_FORMATS
from cloud_storage.system.meter import Meter

RATE, SECONDS = 48_000, 5
COUNT = RATE * SECONDS


def noise(channels=2):
    return np.random.default_rng(7).uniform(-0.5, 0.5, (channels, COUNT)).astype(np.float32)


def encoded(folder, format, quality="auto", rate=RATE, sound=None):
    form = AUDIO_FORMATS[format]
    clip = torch.from_numpy(noise() if sound is None else sound)
    path = folder / f"s.{form.name}"
    audio_encoder.encode(clip, rate, form, quality, None, path, Meter())
    return path


def read(path, on_damage="fail", start=0, duration=0):
    audio, notes = audio_loader.load(path, path.name, start, duration, Meter(), on_damage)
    return audio["waveform"][0].numpy(), audio["sample_rate"], notes


def riff_wav(sound, outer=0, trailer=b"", pad=True):
    """A WAV of 16 bits whose outer length is ``outer`` too large, ``trailer`` behind its samples."""
    data = io.BytesIO()
    with wave.open(data, "wb") as file:
        file.setnchannels(sound.shape[0])
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((sound.T * 32767).astype("<i2").tobytes())
    whole = bytearray(data.getvalue() + trailer)
    whole[4:8] = struct.pack("<I", len(whole) - 8 + outer)
    return bytes(whole)


WAVS = {
    "its outer length is 8 too large": lambda sound: riff_wav(sound, 8),
    "its outer length is 8 too small": lambda sound: riff_wav(sound, -8),
    "its outer length is nonsense": lambda sound: riff_wav(sound, 1 << 30),
    "a chunk of odd length without its byte of padding": lambda sound: riff_wav(
        sound, 1, b"note" + struct.pack("<I", 3) + b"abc"
    ),
    "a chunk after the samples is cut off": lambda sound: riff_wav(
        sound, 0, b"LIST" + struct.pack("<I", 300) + b"INFO"
    ),
    "the byte of padding is counted and not there": lambda sound: riff_wav(sound, 1),
}


@pytest.mark.parametrize("kind", WAVS)
def test_a_wav_whose_samples_are_all_there_is_whole(tmp_path, kind):
    (tmp_path / "s.wav").write_bytes(WAVS[kind](noise()))
    samples, rate, notes = read(tmp_path / "s.wav")
    assert (samples.shape, rate, notes) == ((2, COUNT), RATE, ())


@pytest.mark.parametrize("length", [0x7FFFF000, 0x7FFFF024, 0x7FFFFFFF, 0x80000024, 0xFFFFFFFF])
def test_a_wav_from_a_pipe_is_whole(tmp_path, length):
    data = bytearray(riff_wav(noise()))
    data[4:8] = data[40:44] = struct.pack("<I", length)
    (tmp_path / "s.wav").write_bytes(data)
    assert read(tmp_path / "s.wav")[0].shape == (2, COUNT)


def frames_of_mp3(data):
    """The frames of an MP3 without a tag in front, each of them bytes."""
    from cloud_storage.media.truncation import mp3_frame_bytes

    frames, position = [], data.index(b"\xff\xfb") if b"\xff\xfb" in data else data.index(b"\xff\xf3")
    while position + 4 <= len(data) and (length := mp3_frame_bytes(data[position : position + 4])):
        frames.append(data[position : position + length])
        position += length
    return frames


@pytest.mark.parametrize("quality", ["V0", "128k"])
def test_an_mp3_without_a_header_of_its_length_is_whole(tmp_path, quality):
    quiet = noise()
    quiet[:, : COUNT // 2] = 0  # so that a length by the first frames is far off
    path = encoded(tmp_path, "mp3", quality, sound=quiet)
    frames = frames_of_mp3(path.read_bytes())
    path.write_bytes(b"".join(frames[1:]))
    samples, _, notes = read(path)
    assert abs(samples.shape[1] - 1152 * (len(frames) - 1)) <= 1152
    assert notes == ()


@pytest.mark.parametrize("share", [0.3, 0.6])
def test_an_mp3_that_counts_more_frames_than_it_has_is_whole_unless_it_ends_within_one(tmp_path, share):
    path = encoded(tmp_path, "mp3")
    frames = frames_of_mp3(path.read_bytes())
    kept = frames[: int(len(frames) * share)]
    path.write_bytes(b"".join(kept))
    samples, _, notes = read(path)
    assert notes == ()
    assert abs(samples.shape[1] - 1152 * len(kept)) < 3 * 1152
    path.write_bytes(b"".join(kept)[:-70])
    assert any("cut off after" in note for note in read(path, "load what is there")[2])
    with pytest.raises(errors.MediaError, match="cut off"):
        read(path)


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 44100, 48000])
@pytest.mark.parametrize("seconds", [0.02, 0.05, 0.3, 1.5])
def test_a_short_mp3_of_our_own_is_whole(tmp_path, rate, seconds):
    path = encoded(tmp_path, "mp3", rate=rate, sound=films.tones(2, seconds, rate))
    samples, found, notes = read(path)
    assert (found, notes) == (rate, ())
    assert abs(samples.shape[1] - seconds * rate) <= 1152 * 2


def test_damage_in_the_middle_costs_a_moment_and_is_told(tmp_path):
    path = written(tmp_path / "s.m4a", "mp4", "aac", noise())
    data = bytearray(path.read_bytes())
    middle = data.index(b"mdat") + (len(data) - data.index(b"mdat")) // 2
    data[middle : middle + 3000] = np.random.default_rng(1).integers(0, 255, 3000, np.uint8).tobytes()
    path.write_bytes(data)
    samples, _, notes = read(path, "load what is there")
    assert abs(samples.shape[1] - COUNT) < RATE // 2
    assert notes[0].startswith("Audio could not be decoded, near 2.")
    assert np.abs(samples[:, :RATE]).max() > 0.3 < np.abs(samples[:, -RATE:]).max()
    with pytest.raises(errors.MediaError, match=r"near 2.*Upload the file again"):
        read(path)
    assert read(path, duration=1)[2] == read(path, start=4)[2] == ()


def written(path, muxer, codec, sound, **options):
    with av.open(str(path), "w", format=muxer, options=options) as file:
        voice = file.add_stream(codec, rate=RATE, layout="stereo")
        voice.codec_context.bit_rate = 192_000
        films._speak(file, voice, sound, 0, RATE)
        file.mux(voice.encode(None))
    return path


# FFmpeg's muxers and encoders that PyAV has; and kinds of file that none of ours writes.
KINDS = {
    "au": ("au", "pcm_s16be"),
    "wv": ("wv", "wavpack"),
    "tta": ("tta", "tta"),
    "aiff": ("aiff", "pcm_s16be"),
    "caf": ("caf", "pcm_s16le"),
    "w64": ("w64", "pcm_s16le"),
    "voc": ("voc", "pcm_s16le"),
    "nut": ("nut", "pcm_s16le"),
    "adts": ("adts", "aac"),
    "ac3": ("ac3", "ac3"),
    "mp2": ("mp2", "mp2"),
    "asf": ("asf", "wmav2"),
    "rf64": ("wav", "pcm_s16le"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_any_kind_of_audio_is_loaded(tmp_path, kind):
    muxer, codec = KINDS[kind]
    options = {"rf64": "always"} if kind == "rf64" else {}
    path = written(tmp_path / "s.bin", muxer, codec, films.tones(2, 2), **options)
    samples, rate, notes = read(path)
    assert notes == ()
    assert films.pitches(samples, rate) == [150, 250]
    assert abs(samples.shape[1] - 2 * RATE) < 5000
    part, _, _ = read(path, start=1, duration=0.5)
    assert part.shape[1] == RATE // 2


@pytest.mark.parametrize("kind", ["au", "aiff", "caf", "w64", "rf64"])
def test_a_file_of_plain_samples_that_is_cut_off_is_told(tmp_path, kind):
    muxer, codec = KINDS[kind]
    options = {"rf64": "always"} if kind == "rf64" else {}
    path = written(tmp_path / "s.bin", muxer, codec, films.tones(2, 2), **options)
    path.write_bytes(path.read_bytes()[: RATE * 4])
    samples, _, notes = read(path, "load what is there")
    assert abs(samples.shape[1] - RATE) < 3000
    assert notes[-1].startswith(("The file is cut off after 0.9", "The file is cut off after 1.0"))


def test_mpeg_2_5_without_a_tag_in_front_is_known(tmp_path):
    path = encoded(tmp_path, "mp3", rate=8000, sound=films.tones(1, 2, 8000))
    data = path.read_bytes()
    path.write_bytes(data[data.index(b"\xff\xe3") :])
    samples, rate, _ = read(path)
    assert rate == 8000
    assert films.pitches(samples, rate) == [150]


@pytest.mark.parametrize("kind", ["wav", "aiff", "flac", "mp3", "ogg", "matroska", "mp4"])
def test_a_start_behind_the_end_is_told_with_the_length(tmp_path, kind):
    encoder = {"wav": "pcm_s16le", "aiff": "pcm_s16be", "mp3": "libmp3lame", "ogg": "libopus", "flac": "flac"}
    path = written(tmp_path / "s", kind, encoder.get(kind, "aac"), noise())
    with pytest.raises(errors.MediaError, match=r"it is 5\.0\d s long, and start_seconds is 100\.00"):
        read(path, start=100)


MP3_TAILS = {
    "zeros": bytes(3000),
    "words": b"lyrics and the like " * 30,
    "tags": b"LYRICSBEGININD0000200" + b"la " * 99 + b"000321LYRICS200TAG" + bytes(125),
}


@pytest.mark.parametrize("tail", MP3_TAILS)
def test_what_follows_the_audio_of_an_mp3_is_no_damage(tmp_path, tail):
    path = encoded(tmp_path, "mp3")
    path.write_bytes(path.read_bytes() + MP3_TAILS[tail])
    sound, _, notes = read(path)
    assert (sound.shape[1], notes) == (COUNT, ())


# ------------------------------------------------------------ memory


def heard(path, free, start=0, duration=0):
    spare = memory_budget.SPARE_BYTES
    return audio_loader.load(path, path.name, start, duration, Meter(), "fail", lambda: spare + free)


WHOLE_BYTES = 2 * 4 * 2 * COUNT  # as it was decoded, and as the result; floats; two channels


@pytest.mark.parametrize("format", ["wav", "mp3", "flac"])
def test_audio_that_does_not_fit_into_memory_is_refused_with_the_numbers(tmp_path, format):
    path = encoded(tmp_path, format)
    assert heard(path, 2 * WHOLE_BYTES)[0]["waveform"].shape[2] >= COUNT
    said = r"Could not load the audio .*2 channels at 48000 Hz take .* GB of memory are free for that\. "
    with pytest.raises(errors.MediaError, match=said + r"Set duration_seconds to \d or less"):
        heard(path, WHOLE_BYTES // 2)
    assert heard(path, WHOLE_BYTES // 2, 1, 2)[0]["waveform"].shape[2] == 2 * RATE
    with pytest.raises(errors.MediaError, match="Free memory"):
        heard(path, 0)


def test_a_gap_in_the_times_takes_no_memory_unasked(tmp_path):
    """A second of sound, and another one at 100 hours: as zeros, 276 GB with the copy."""
    path = tmp_path / "gap.mka"
    with av.open(str(path), "w", "matroska") as output:
        stream = output.add_stream("pcm_s16le", rate=RATE, layout="stereo")
        for second in (0, 360_000):
            frame = av.AudioFrame.from_ndarray(np.ones((1, 2 * RATE), np.int16), "s16", "stereo")
            frame.sample_rate, frame.pts, frame.time_base = RATE, second * RATE, Fraction(1, RATE)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    with pytest.raises(errors.MediaError, match=r"take 276\.5 GB"):
        heard(path, 1 << 30)
