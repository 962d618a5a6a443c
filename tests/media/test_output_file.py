"""An output file, and whose error it is when writing fails."""

from __future__ import annotations

import errno

import av
import numpy as np
import pytest
from cloud_storage import errors
from cloud_storage.media.formats import CONTAINERS
from cloud_storage.media.output_file import Output, Refused


def output(path, form="mp4", **tags):
    return Output(path, CONTAINERS[form], tags, "encode the video", f"2 frames as {form}")


def add_frames(file, encoder="libx264"):
    stream = file.add_stream(encoder, rate=25)
    stream.width = stream.height = 64
    stream.pix_fmt = "yuv420p"
    file.name_codec(stream)
    for number in range(2):
        frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
        frame.pts = number
        file.encode(stream, frame.reformat(format="yuv420p"))
    file.encode(stream, None)


def test_what_was_written_can_be_read_and_has_the_tags(tmp_path):
    with output(tmp_path / "a.mkv", "mkv", title="a title") as file:
        add_frames(file)
        file.close()  # a second close, by with, does nothing
    with av.open(str(tmp_path / "a.mkv")) as read:
        assert len(list(read.decode(video=0))) == 2
        assert read.metadata["title"] == "a title"


def test_a_copied_stream_keeps_its_packets(tmp_path):
    with output(tmp_path / "a.mp4") as file:
        add_frames(file)
    with av.open(str(tmp_path / "a.mp4")) as source, output(tmp_path / "b.mkv", "mkv") as file:
        copy = file.copy_stream(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.size:
                packet.stream = copy
                file.mux(packet)
    with av.open(str(tmp_path / "b.mkv")) as read:
        assert len(list(read.decode(video=0))) == 2


def test_a_codec_that_a_muxer_cannot_hold_is_its_refusal(tmp_path):
    with pytest.raises(Refused, match=r"encode the video \(2 frames as webm\)") as raised:
        with output(tmp_path / "a.webm", "webm") as file:
            add_frames(file)
    assert "refuses it" in raised.value.said


def test_a_disk_that_fails_is_no_refusal(tmp_path):
    with pytest.raises(errors.MediaError, match="writing to the disk failed") as raised:
        with output(tmp_path / "no folder" / "a.mp4") as file:
            add_frames(file)
    assert not isinstance(raised.value, Refused)
    assert raised.value.__cause__.errno == errno.ENOENT


def test_an_error_of_the_caller_goes_through_unchanged(tmp_path):
    with pytest.raises(KeyError), output(tmp_path / "a.mp4"):
        raise KeyError("mine")
