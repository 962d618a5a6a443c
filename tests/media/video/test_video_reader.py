"""Frames of a video file with their numbers and times, and its audio."""

from __future__ import annotations

import contextlib
from fractions import Fraction

import films
import pytest
import torch
from cloud_storage import errors
from cloud_storage.media import container
from cloud_storage.media.damage import FAIL, StreamDamage
from cloud_storage.media.video.frame_window import Window
from cloud_storage.media.video.video_reader import VideoReader
from cloud_storage.system.meter import Meter
from films import KINDS

COUNT, RATE = 40, 25


@pytest.fixture(scope="module", params=KINDS)
def path(request, tmp_path_factory):
    kind = KINDS[request.param]
    sound = films.clicks(COUNT / RATE) if kind.sound else None
    target = tmp_path_factory.mktemp("reader") / f"f.{kind.ending}"
    return films.write(target, kind, films.numbered(COUNT), RATE, sound=sound)


@contextlib.contextmanager
def reading(path, **options):
    with container.opened(path, "f", "a video") as file:
        yield VideoReader(file, path, "f", options.pop("meter", Meter()), **options)


def test_every_frame_has_its_number_and_its_time(path):
    with reading(path) as reader:
        frames = list(reader.frames(Window()))
        assert [timed.index for timed in frames] == list(range(COUNT))
        assert reader.counted == reader.count == COUNT
        for timed in frames:
            assert abs(timed.seconds - Fraction(timed.index, RATE)) < Fraction(1, 100)
        assert reader.damage.lines() == ()


@pytest.mark.parametrize(
    "window", [Window(skip_first_frames=30), Window(force_rate=10, skip_first_frames=12)]
)
def test_frames_begin_at_the_first_one_wanted_or_earlier(path, window):
    with reading(path) as reader:
        first = next(reader.frames(window))
        found = films.number(torch.from_numpy(first.frame.to_ndarray(format="rgb24")) / 255)
        assert found == round(first.seconds * RATE) <= 30
        assert window.start_seconds is not None or found == first.index


def test_the_audio_up_to_a_time_comes_with_the_frames(path):
    with reading(path) as reader:
        next(reader.frames(Window()))
        reader.decode_audio_until(Fraction(1))
        assert (reader.timeline.seconds >= 1) == (reader.audio is not None)


def test_a_stopped_meter_ends_it(path):
    meter = Meter()
    meter.stop()
    with pytest.raises(errors.TransferCancelled), reading(path, meter=meter) as reader:
        next(reader.frames(Window()))


def test_a_truncated_file_ends_with_a_line_or_with_an_error(tmp_path):
    path = films.write(tmp_path / "f.mkv", KINDS["mkv"], films.numbered(COUNT), RATE)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with reading(path) as reader:
        assert 0 < len(list(reader.frames(Window()))) < COUNT
        assert reader.damage.lines()[-1].startswith("The file is cut off after ")
    damage = StreamDamage("a video", "f", FAIL)
    with pytest.raises(errors.MediaError, match="on_damage"), reading(path, damage=damage) as reader:
        list(reader.frames(Window()))
