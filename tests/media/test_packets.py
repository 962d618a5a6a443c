"""Files whose times start again: joined one behind the other, read as one in sync."""

from __future__ import annotations

from fractions import Fraction

import av
import films
import numpy as np
import pytest
from cloud_storage.media.audio import audio_loader
from cloud_storage.media.packets import Timeline
from cloud_storage.media.video import frame_sinks, frame_window, video_loader
from cloud_storage.system.meter import Meter
from films import KINDS

RATE, SECONDS = 25, 3
COUNT = RATE * SECONDS


def load(path, **numbers):
    window = frame_window.Window(**numbers)
    return video_loader.load(path, "f", window, frame_sinks.Tensor(), Meter(), lambda: 1 << 40, "fail")


@pytest.fixture(scope="module")
def joined(tmp_path_factory):
    """A transport stream of three with the same times: numbers from 0, 200 and 400, clicks all along."""
    folder = tmp_path_factory.mktemp("joined")
    whole = b""
    for first in (0, 200, 400):
        pictures = [films.picture(first + index) for index in range(COUNT)]
        path = films.write(folder / f"{first}.ts", KINDS["ts"], pictures, RATE, sound=films.clicks(SECONDS))
        whole += path.read_bytes()
    (folder / "joined.ts").write_bytes(whole)
    return folder / "joined.ts"


EXPECTED = [*range(COUNT), *range(200, 200 + COUNT), *range(400, 400 + COUNT)]


def test_every_frame_of_a_joined_video_comes_in_order(joined):
    assert films.numbers(load(joined).frames) == EXPECTED


@pytest.mark.parametrize(("skip", "cap"), [(COUNT + 20, 5), (2 * COUNT - 2, 4)])
@pytest.mark.parametrize("rate", [0, RATE])
def test_a_window_of_a_joined_video_is_counted_from_its_start(joined, rate, skip, cap):
    loaded = load(joined, force_rate=rate, skip_first_frames=skip, frame_load_cap=cap)
    found = films.numbers(loaded.frames)
    assert all(
        abs(EXPECTED.index(number) - place) <= (1 if rate else 0) for place, number in enumerate(found, skip)
    )


def test_a_rate_samples_all_of_a_joined_video(joined):
    loaded = load(joined, force_rate=30)
    assert abs(loaded.count - 3 * SECONDS * 30) <= 6
    assert set(films.numbers(loaded.frames)) >= set(EXPECTED) - {COUNT - 1, 200, 199 + COUNT, 400}


def test_the_audio_of_a_joined_video_is_in_sync_with_its_frames(joined):
    loaded = load(joined)
    clicks = films.click_times(loaded.audio["waveform"][0].numpy(), loaded.audio["sample_rate"])
    beginnings = [0, SECONDS, 2 * SECONDS]
    expected = [begin + step / 2 for begin in beginnings for step in range(2 * SECONDS)]
    assert len(clicks) == len(expected)
    assert np.allclose(clicks, expected, atol=0.12)


@pytest.mark.parametrize("codec", ["libopus", "flac"])
def test_a_chained_ogg_is_as_long_as_its_pieces(tmp_path, codec):
    whole = b""
    for first in range(2):
        path = tmp_path / f"{first}.ogg"
        with av.open(str(path), "w", format="ogg") as file:
            voice = file.add_stream(codec, rate=films.SOUND_RATE, layout="stereo")
            films._speak(file, voice, films.clicks(SECONDS), 0, films.SOUND_RATE)
            file.mux(voice.encode(None))
        whole += path.read_bytes()
    (tmp_path / "chained.ogg").write_bytes(whole)
    audio, notes = audio_loader.load(tmp_path / "chained.ogg", "f", 0, 0, Meter())
    samples = audio["waveform"][0].numpy()
    assert abs(samples.shape[1] - 2 * SECONDS * films.SOUND_RATE) < 0.1 * films.SOUND_RATE
    clicks = films.click_times(samples, films.SOUND_RATE)
    assert np.allclose(clicks, np.arange(0, 2 * SECONDS, 0.5), atol=0.05)
    assert notes == ()
    part, _ = audio_loader.load(tmp_path / "chained.ogg", "f", 4.2, 1, Meter())
    assert np.allclose(
        films.click_times(part["waveform"][0].numpy(), films.SOUND_RATE), [0.3, 0.8], atol=0.05
    )


LAYOUTS = {"stereo, 5.1, stereo": ("stereo", "5.1", "stereo"), "mono, stereo": ("mono", "stereo")}


@pytest.mark.parametrize("layouts", LAYOUTS)
@pytest.mark.parametrize("rates", [(48000, 48000, 48000), (48000, 44100, 32000)])
def test_audio_that_changes_its_layout_or_sample_rate_gets_those_of_its_beginning(tmp_path, layouts, rates):
    whole = b""
    for layout, rate in zip(LAYOUTS[layouts], rates, strict=False):
        with av.open(str(tmp_path / "piece.ts"), "w", format="mpegts") as file:
            voice = file.add_stream("ac3", rate=rate, layout=layout)
            sound = films.clicks(SECONDS, rate, voice.codec_context.layout.nb_channels)
            films._speak(file, voice, sound, 0, rate)
            file.mux(voice.encode(None))
        whole += (tmp_path / "piece.ts").read_bytes()
    (tmp_path / "f.ts").write_bytes(whole)
    audio, _ = audio_loader.load(tmp_path / "f.ts", "f", 0, 0, Meter())
    samples, count = audio["waveform"][0].numpy(), len(LAYOUTS[layouts])
    assert audio["sample_rate"] == rates[0]
    assert samples.shape[0] == (1 if layouts.startswith("mono") else 2)
    assert abs(samples.shape[1] / rates[0] - count * SECONDS) < 0.2
    loud = np.abs(samples[0]).reshape(-1)
    heard = [bool((loud[int((t - 0.1) * rates[0]) : int((t + 0.1) * rates[0])] > 0.05).any()) for t in (1, 4)]
    assert heard == [True, True]


class Packet:
    def __init__(self, dts, duration=1):
        self.pts = self.dts = dts
        self.duration, self.time_base = duration, Fraction(1, 10)


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ([0, 1, 2, 0, 1], [0, 1, 2, 3, 4]),  # starts again
        ([0, 1, 2, 500, 501], [0, 1, 2, 3, 4]),  # a leap of more than ten seconds
        ([0, 1, 2, 50, 51], [0, 1, 2, 50, 51]),  # a gap of less
        ([5, 6, 6, 7], [5, 6, 6, 7]),  # written roughly
        ([None, 1, 2, 0], [None, 1, 2, 3]),
    ],
)
def test_one_stream_goes_on_where_its_times_start_again(times, expected):
    timeline, found = Timeline(), []
    for time in times:
        packet = Packet(time)
        timeline.shift(packet, 0)
        found.append(packet.pts)
    assert found == expected


def test_a_stream_that_starts_again_later_than_another_is_shifted_as_far():
    timeline = Timeline()
    order = [(0, 10), (1, 11), (0, 11), (1, 12), (0, 10), (1, 13), (1, 11), (0, 11), (1, 12)]
    found = []
    for index, time in order:
        packet = Packet(time)
        timeline.shift(packet, index)
        found.append((index, packet.pts))
    # The first piece ends at 13; in the second, 10 of stream 0 follows, and 11 of stream 1 lies one behind
    # it.
    assert found[4:] == [(0, 13), (1, 13), (1, 14), (0, 14), (1, 15)]
