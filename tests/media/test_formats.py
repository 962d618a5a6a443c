"""The tables of formats, against PyAV."""

from __future__ import annotations

import av
import pytest
from av.codec import Codec
from cloud_storage.media import formats

AUDIO_CODECS = [formats.AAC, formats.MP3, formats.OPUS, formats.FLAC, formats.PCM]


@pytest.mark.parametrize("codec", AUDIO_CODECS, ids=lambda codec: codec.encoder)
def test_an_audio_codec_has_what_its_encoder_says(codec):
    encoder = Codec(codec.encoder, "w")
    assert codec.sample_format in {form.name for form in encoder.audio_formats}
    if encoder.audio_rates:
        assert set(codec.rates) <= set(encoder.audio_rates)
    assert list(codec.rates) == sorted(codec.rates)


@pytest.mark.parametrize(
    ("codec", "rate", "taken"),
    [(formats.FLAC, 12345, 12345), (formats.OPUS, 44100, 48000), (formats.OPUS, 96000, 48000)],
    ids=["any", "next", "highest"],
)
def test_a_sample_rate_that_a_codec_lacks_becomes_the_next_or_the_highest(codec, rate, taken):
    assert codec.rate(rate) == taken


@pytest.mark.parametrize("table", [formats.CONTAINERS, formats.AUDIO_FORMATS], ids=["video", "audio"])
def test_every_format_has_a_muxer_and_cannot_be_changed(table):
    for name, row in table.items():
        assert name == row.name
        assert row.muxer in av.formats_available
    with pytest.raises(TypeError):
        table["new"] = row


def test_every_container_is_encoded_with_codecs_of_the_table():
    for container in formats.CONTAINERS.values():
        assert set(container.codecs) <= set(formats.CODECS)
        assert container.codecs or container.name == "gif"


@pytest.mark.parametrize("codec", formats.CODECS.values(), ids=lambda codec: codec.name)
def test_every_video_codec_has_an_encoder_here_and_a_quality_in_its_range(codec):
    assert any(name in av.codecs_available for name in codec.encoders)
    assert 0 <= codec.crf <= codec.max_crf
