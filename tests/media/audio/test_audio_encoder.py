"""Sound to files and back: a tone in each channel, and every sample where it was."""

from __future__ import annotations

import json
import math

import av
import films
import numpy as np
import pytest
import torch
from cloud_storage import errors
from cloud_storage.media.audio import audio_encoder, audio_loader
from cloud_storage.media.formats import AUDIO_FORMATS as FORMATS
from cloud_storage.media.workflow_metadata import Metadata
from cloud_storage.system.meter import Meter

METADATA = Metadata({"3": {"class_type": "KSampler"}}, {"workflow": {"nodes": [1, 2]}})
LOSSLESS = ("flac", "wav")
CODEC_FRAME = {"mp3": 1152, "opus": 960}  # samples at the file's own rate


def encode(folder, samples, rate, format, quality="auto", metadata=None):
    target = folder / f"sound.{FORMATS[format].name}"
    clip = torch.from_numpy(samples)
    notes = audio_encoder.encode(clip, rate, FORMATS[format], quality, metadata, target, Meter())
    return target, notes


def load(path, start=0, duration=0):
    audio, _ = audio_loader.load(path, path.name, start, duration, Meter())
    assert audio["waveform"].dtype == torch.float32
    assert audio["waveform"].ndim == 3
    return audio["waveform"][0].numpy(), audio["sample_rate"]


def tags(path):
    with av.open(str(path)) as file:
        found = {**file.metadata, **file.streams.audio[0].metadata}
        return {key.lower(): text for key, text in found.items()}


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5, 6, 7, 8])
@pytest.mark.parametrize("format", FORMATS)
def test_a_tone_in_each_channel_survives(tmp_path, format, channels):
    path, notes = encode(tmp_path, films.tones(channels), films.SOUND_RATE, format)
    back, rate = load(path)
    if format == "mp3" and channels > 2:
        assert notes == ("An mp3 file has at most 2 channels: the audio was mixed down.",)
        assert back.shape[0] == 2
        return
    assert notes == ()
    assert films.pitches(back, rate) == films.pitches(films.tones(channels), films.SOUND_RATE)


@pytest.mark.parametrize("format", LOSSLESS)
@pytest.mark.parametrize("rate", [8000, 11025, 32000, 44100, 48000, 96000])
@pytest.mark.parametrize("count", [1, 999, 48000, 100_001])
def test_what_is_lossless_keeps_every_sample(tmp_path, format, rate, count):
    samples = np.random.default_rng(count).uniform(-1, 1, (2, count)).astype(np.float32)
    back, found = load(encode(tmp_path, samples, rate, format)[0])
    assert (found, back.shape) == (rate, samples.shape)
    assert np.abs(back - samples).max() < 2**-22


@pytest.mark.parametrize("format", CODEC_FRAME)
@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000, 96000])
def test_what_is_lossy_keeps_the_length_to_one_frame(tmp_path, format, rate):
    back, found = load(encode(tmp_path, films.tones(2, 1.5, rate), rate, format)[0])
    assert found in FORMATS[format].codec.rates
    assert abs(back.shape[1] - 1.5 * found) <= CODEC_FRAME[format]
    assert films.pitches(back, found) == [150, 250]


def test_more_channels_than_loudspeakers_are_kept_where_the_format_can(tmp_path):
    for format in ("wav", "opus"):
        back, rate = load(encode(tmp_path, films.tones(12), films.SOUND_RATE, format)[0])
        assert films.pitches(back, rate) == films.pitches(films.tones(12), films.SOUND_RATE)
    with pytest.raises(errors.MediaError, match=r"12 channels.*at most 8 channels\. Save it as wav"):
        encode(tmp_path, films.tones(12), films.SOUND_RATE, "flac")


def test_values_out_of_range_are_cut_off_and_no_numbers_are_silent(tmp_path):
    samples = np.array([[2, -3, np.nan, np.inf, -np.inf, 0.5]], np.float32).repeat(100, axis=1)
    back, _ = load(encode(tmp_path, samples, 8000, "wav")[0])
    expected = np.nan_to_num(samples, posinf=1, neginf=-1).clip(-1, 1)
    assert np.abs(back - expected).max() < 2**-22


def size(folder, format, quality):
    noise = np.random.default_rng(3).normal(0, 0.2, (2, 48000 * 4)).astype(np.float32)
    return encode(folder, noise, 48000, format, quality)[0].stat().st_size


@pytest.mark.parametrize("format", ["mp3", "opus"])
def test_a_quality_in_bits_is_that_of_the_file(tmp_path, format):
    for quality, bits in (("64k", 64_000), ("128k", 128_000), ("320k", 320_000)):
        assert math.isclose(size(tmp_path, format, quality), bits / 8 * 4, rel_tol=0.15)


def test_auto_is_v0_for_mp3_and_128k_for_opus(tmp_path):
    assert size(tmp_path, "mp3", "auto") == size(tmp_path, "mp3", "V0") > size(tmp_path, "mp3", "192k")
    assert size(tmp_path, "opus", "auto") == size(tmp_path, "opus", "128k")


def test_a_quality_that_a_format_lacks_is_refused_with_those_it_has(tmp_path):
    with pytest.raises(errors.MediaError, match=r"opus has no quality V0.*64k, 96k, 128k, 192k, 320k"):
        encode(tmp_path, films.tones(1), 48000, "opus", "V0")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("format", FORMATS)
def test_the_workflow_is_in_the_tags(tmp_path, format):
    path, _ = encode(tmp_path, films.tones(1), 48000, format, metadata=METADATA)
    found = tags(path)
    if format == "wav":
        found = {key: json.dumps(value) for key, value in json.loads(found["comment"]).items()}
    assert json.loads(found["prompt"]) == METADATA.prompt
    assert json.loads(found["workflow"]) == METADATA.extra_pnginfo["workflow"]
    assert "prompt" not in tags(encode(tmp_path, films.tones(1), 48000, format)[0])


def test_a_stopped_meter_ends_it_and_leaves_no_file(tmp_path):
    meter = Meter()
    meter.stop()
    clip = torch.from_numpy(films.tones(1, 5))
    with pytest.raises(errors.TransferCancelled):
        audio_encoder.encode(clip, 48000, FORMATS["flac"], "auto", None, tmp_path / "x.flac", meter)
    assert not list(tmp_path.iterdir())


# ----------------------------------------------------------------------------------- what comes in


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("rate", [8000, 11025, 44100, 48000, 96000, 192000])
@pytest.mark.parametrize("count", [1, 2, 40])
def test_a_few_samples_are_a_file_at_every_rate(tmp_path, format, rate, count):
    path, _ = encode(tmp_path, np.full((1, count), 0.5, np.float32), rate, format)
    with av.open(str(path)) as file:
        assert sum(frame.samples for frame in file.decode(audio=0))


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int16, np.int32, list])
def test_a_waveform_that_is_no_tensor_is_taken(kind):
    waveform = np.array([[[0, 0.5, -1]]])
    if kind is list:
        waveform = waveform.tolist()
    elif np.issubdtype(kind, np.integer):
        waveform = (waveform * -float(np.iinfo(kind).min)).astype(kind)
    else:
        waveform = waveform.astype(kind)
    clips, rate = audio_encoder.clips({"waveform": waveform, "sample_rate": 44100.0})
    assert rate == 44100
    assert np.allclose(clips.numpy(), [[[0, 0.5, -1]]])


@pytest.mark.parametrize(
    "audio",
    [
        *({}, [], 7, "sound", ..., {"waveform": torch.zeros((1, 1, 5))}),
        *({"waveform": None, "sample_rate": 8000}, {"waveform": "x", "sample_rate": 8000}),
        {"waveform": torch.zeros((1, 1, 5)), "sample_rate": "many"},
        {"waveform": torch.zeros((1, 1, 5), dtype=torch.complex64), "sample_rate": 8000},
        {"waveform": torch.zeros((1, 1, 5), dtype=torch.bool), "sample_rate": 8000},
    ],
    ids=repr,
)
def test_what_is_no_audio_is_refused_in_words(audio):
    with pytest.raises(errors.MediaError, match="Connect AUDIO"):
        audio_encoder.clips(audio)


def test_audio_of_any_mapping_is_taken():
    class Lazy(dict):
        def __getitem__(self, key):
            return {"waveform": torch.zeros((2, 1, 5)), "sample_rate": 8000}[key]

    clips, rate = audio_encoder.clips(Lazy())
    assert (clips.shape, rate) == ((2, 1, 5), 8000)
    assert audio_encoder.clips({"waveform": torch.zeros((1, 5)), "sample_rate": 8000})[0].shape == (1, 1, 5)


@pytest.mark.parametrize(
    "audio",
    [
        None,
        {"waveform": torch.zeros((0, 2, 5)), "sample_rate": 8000},
        {"waveform": torch.zeros((1, 2, 0)), "sample_rate": 8000},
        {"waveform": torch.zeros(5), "sample_rate": 8000},
        {"waveform": torch.zeros((1, 1, 5)), "sample_rate": 0},
    ],
)
def test_input_that_is_no_audio_is_refused(audio):
    with pytest.raises(errors.MediaError):
        audio_encoder.clips(audio)


# --------------------------------------------------------------------------------------- windows


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(("start", "duration"), [(0, 1), (2.25, 1.5), (3.9, 0), (0.01, 0.02)])
def test_a_part_is_what_lies_there(tmp_path, format, start, duration):
    path, _ = encode(tmp_path, films.clicks(5), films.SOUND_RATE, format)
    part, rate = load(path, start, duration)
    end = start + duration if duration else 5
    allowed = CODEC_FRAME.get(format, 0) if not duration else 0
    assert abs(part.shape[1] - round((end - start) * rate)) <= allowed
    expected = [time - start for time in np.arange(0, 5, 0.5) if start < time < end - 0.03]
    heard = [time for time in films.click_times(part, rate) if time > 0.03]
    assert np.allclose(heard, [time for time in expected if time > 0.03], atol=0.03)


@pytest.mark.parametrize("format", LOSSLESS)
def test_a_lossless_part_is_exact(tmp_path, format):
    samples = np.random.default_rng(5).uniform(-1, 1, (2, 48000 * 4)).astype(np.float32)
    part, _ = load(encode(tmp_path, samples, 48000, format)[0], 1.5, 0.25)
    assert part.shape == (2, 12000)
    assert np.abs(part - samples[:, 72000:84000]).max() < 2**-22


@pytest.mark.parametrize("kind", [name for name, kind in films.KINDS.items() if kind.sound])
def test_the_audio_of_a_video_is_loaded_without_its_frames(tmp_path, kind):
    path = tmp_path / f"f.{films.KINDS[kind].ending}"
    films.write(path, films.KINDS[kind], films.numbered(100), 25, sound=films.clicks(4))
    whole, rate = load(path)
    assert abs(whole.shape[1] - 4 * rate) < 0.1 * rate  # fragments are written with a gap behind the first
    part, _ = load(path, 2.2, 1)
    assert part.shape == (2, rate)
    late = 0.1 if kind == "mp4, fragmented" else 0.03
    assert np.allclose(films.click_times(part, rate), [0.3, 0.8], atol=late)


def test_a_part_that_goes_beyond_the_end_is_what_is_there(tmp_path):
    path, _ = encode(tmp_path, films.tones(1, 2), 48000, "flac")
    assert load(path, 1.5, 10)[0].shape == (1, 24000)


# -------------------------------------------------------------------------------------- refusals


def test_a_start_behind_the_end_is_an_error_that_tells_the_length(tmp_path):
    path, _ = encode(tmp_path, films.tones(1, 2), 48000, "flac")
    with pytest.raises(errors.MediaError, match=r"2.00 s long, and start_seconds is 2.00"):
        load(path, 2)


@pytest.mark.parametrize("window", [(-1, 0), (0, -1)])
def test_negative_times_are_refused(tmp_path, window):
    with pytest.raises(errors.MediaError, match="0 or more"):
        load(encode(tmp_path, films.tones(1), 48000, "flac")[0], *window)


def test_a_video_without_audio_is_refused_with_a_message_that_says_so(tmp_path):
    path = films.write(tmp_path / "f.mp4", films.KINDS["mp4"], films.numbered(5), 25)
    with pytest.raises(errors.MediaError, match="it has no audio"):
        load(path)


@pytest.mark.parametrize(
    ("data", "words"),
    [(b"", "empty"), (b"<!DOCTYPE html><html>Sign in</html>", "HTML"), (b"fLaC" * 9, "damaged")],
)
def test_a_file_that_is_no_audio_is_named(tmp_path, data, words):
    (tmp_path / "s.flac").write_bytes(data)
    with pytest.raises(errors.MediaError, match=words):
        load(tmp_path / "s.flac")


@pytest.mark.parametrize("format", ["flac", "wav", "mp3"])
@pytest.mark.parametrize("share", [0.3, 0.8])
def test_of_audio_that_is_cut_off_the_rest_is_loaded_and_a_line_says_so(tmp_path, format, share):
    noise = np.random.default_rng(7).uniform(-0.5, 0.5, (2, 240_000)).astype(np.float32)
    path, _ = encode(tmp_path, noise, 48000, format)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    audio, notes = audio_loader.load(path, path.name, 0, 0, Meter())
    assert abs(audio["waveform"].shape[2] / 240_000 - share) < 0.05
    assert any("cut off after " in note for note in notes)
    with pytest.raises(errors.MediaError, match=r"on_damage to `load what is there`"):
        audio_loader.load(path, path.name, 0, 0, Meter(), "fail")
    part, notes = audio_loader.load(path, path.name, 0, 0.5, Meter(), "fail")
    assert (part["waveform"].shape[2], notes) == (24000, ())
