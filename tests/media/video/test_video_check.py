"""What is decoded of a film that was written: its beginning, and its end as far as a key frame is near."""

from __future__ import annotations

from fractions import Fraction

import av
import films
import pytest
from cloud_storage.media.output_file import Refused
from cloud_storage.media.video import video_check
from cloud_storage.system.meter import Meter

COUNT = 100


class Counter(Meter):
    """Counts how often it was asked: once for each packet."""

    asked = 0

    def check(self):
        self.asked += 1
        super().check()


def film(path, group):
    """H.264 with a key frame every ``group`` pictures."""
    with av.open(str(path), "w") as file:
        options = {"g": str(group), "keyint_min": str(group), "sc_threshold": "0", "bf": "0"}
        stream = file.add_stream("libx264", rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = films.WIDTH, films.HEIGHT, "yuv420p"
        for index, pixels in enumerate(films.numbered(COUNT)):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


def spoil(path, first):
    """Zeros in place of the pictures from ``first`` on."""
    with av.open(str(path)) as file:
        places = [(packet.pos, packet.size) for packet in file.demux(video=0) if packet.size]
    data = bytearray(path.read_bytes())
    for place, size in places[first:]:
        data[place : place + size] = bytes(size)
    path.write_bytes(data)


def test_a_recording_with_a_single_key_frame_is_not_decoded_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(video_check, "END_PACKETS", 20)
    meter = Counter()
    video_check.check(film(tmp_path / "a.mp4", 1000), None, meter)
    assert 20 < meter.asked < 40


@pytest.mark.parametrize("group", [1, 10, 1000])
def test_an_end_that_is_broken_is_seen_as_far_as_a_key_frame_is_near(tmp_path, monkeypatch, group):
    path = film(tmp_path / "a.mp4", group)
    video_check.check(path, None, Meter())
    spoil(path, 90)
    with pytest.raises(Refused, match="decoded"):
        video_check.check(path, None, Meter())
    if group == 1000:  # said to be not seen in the docstring
        monkeypatch.setattr(video_check, "END_PACKETS", 20)
        video_check.check(path, None, Meter())
