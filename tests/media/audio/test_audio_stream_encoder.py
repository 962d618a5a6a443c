"""Audio into a stream of an open file."""

from __future__ import annotations

import av
import films
import numpy as np
import pytest
from cloud_storage import errors
from cloud_storage.media import formats
from cloud_storage.media.audio.audio_stream_encoder import AudioStreamEncoder
from cloud_storage.media.output_file import Output
from cloud_storage.system.meter import Meter


def encoded(path, codec, samples, rate, named="", meter=None):
    """Encode into a Matroska file. Returns the notes, and the decoded frames."""
    with Output(path, formats.CONTAINERS["mkv"], {}, "encode the audio", "test") as output:
        encoder = AudioStreamEncoder(output, codec, len(samples), rate, meter or Meter(), named)
        encoder.add(samples)
        encoder.finish()
    with av.open(str(path)) as file:
        return encoder.notes, list(file.decode(audio=0))


@pytest.mark.parametrize(
    ("codec", "rate", "stored"),
    [(formats.FLAC, 44100, 44100), (formats.OPUS, 44100, 48000)],
    ids=["flac", "opus"],
)
def test_the_stream_has_the_next_rate_that_the_codec_takes(tmp_path, codec, rate, stored):
    notes, frames = encoded(tmp_path / "a.mkv", codec, films.tones(2, 1, rate), rate)
    assert notes == ()
    assert {frame.sample_rate for frame in frames} == {stored}


@pytest.mark.parametrize("count", [1, 7])
def test_a_few_samples_at_another_rate_are_padded_with_silence(tmp_path, count):
    _, frames = encoded(tmp_path / "a.mkv", formats.OPUS, np.ones((1, count), np.float32), 44100)
    assert frames


@pytest.mark.parametrize(
    ("codec", "named", "kept"),
    [(formats.FLAC, "6.0", True), (formats.AAC, "6.0", False)],
    ids=["kept", "lost"],
)
def test_a_channel_layout_is_kept_or_a_note_says_what_it_is_now(tmp_path, codec, named, kept):
    notes, frames = encoded(tmp_path / "a.mkv", codec, films.tones(6), films.SOUND_RATE, named)
    assert (notes == ()) == kept
    assert frames[0].layout.name == (named if kept else "5.1")


def test_more_channels_than_a_codec_holds_are_refused(tmp_path):
    with pytest.raises(
        errors.MediaError, match=r"9 channels.*flac encodes at most 8 channels.*Save it as wav"
    ):
        encoded(tmp_path / "a.mkv", formats.FLAC, np.zeros((9, 5), np.float32), 48000)


def test_a_stopped_meter_ends_it(tmp_path):
    meter = Meter()
    meter.stop()
    with pytest.raises(errors.TransferCancelled):
        encoded(tmp_path / "a.mkv", formats.FLAC, films.tones(1), films.SOUND_RATE, meter=meter)
