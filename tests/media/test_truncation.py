"""Whether bytes are missing at the end of a file, by its own headers."""

from __future__ import annotations

import io
import struct
import wave

import films
import pytest
from cloud_storage.media import truncation
from films import KINDS

TRAILERS = {
    "newline": b"\n",
    "text": b"some trailer that a camera wrote",
    "zeros": bytes(50),
    "noise": b"\xf3\x91" * 100,
    "half a header": b"\0\0\0\x08moo",
    "a box of the camera's own and more": b"\0\0\0\x0cthumabcd\xff",
}


@pytest.mark.parametrize("kind", ["mp4", "mov"])
@pytest.mark.parametrize("trailer", TRAILERS)
def test_a_video_with_bytes_after_the_last_box_is_not_cut_off(tmp_path, kind, trailer):
    whole = films.write(tmp_path / f"f.{kind}", KINDS[kind], films.numbered(20), 25).read_bytes()
    source = io.BytesIO(whole + TRAILERS[trailer])
    assert len(whole) <= truncation.declared_bytes(source) <= len(source.getvalue())


def test_a_video_cut_off_in_any_box_after_one_of_the_cameras_own_is_reported(tmp_path):
    whole = films.write(tmp_path / "f.mp4", KINDS["mp4"], films.numbered(20), 25).read_bytes()
    first = int.from_bytes(whole[:4], "big")
    whole = whole[:first] + b"\0\0\0\x0cthumabcd" + whole[first:]
    assert not truncation.is_truncated(io.BytesIO(whole))
    for share in (0.1, 0.5, 0.99):
        assert truncation.is_truncated(io.BytesIO(whole[: int(len(whole) * share)]))


def riff(length, size):
    """A WAV of ``size`` bytes that says that it has ``length`` of sound; sparse, as far as it is large."""
    data = io.BytesIO()
    with wave.open(data, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(16000))
    head = bytearray(data.getvalue())
    head[40:44] = struct.pack("<I", length)

    class Sparse(io.BytesIO):
        def seek(self, offset, whence=0):
            return size if whence == 2 else super().seek(offset, whence)

    return Sparse(head)


@pytest.mark.parametrize("length", [0, 0x7FFFF000, 0x7FFFF024, 0x7FFFFFFF, 0x80000024, 0xFFFFFFFF])
def test_the_length_that_a_pipe_left_in_a_wav_says_nothing(length):
    assert truncation.declared_bytes(riff(length, 16044)) is None


def test_a_wav_cut_off_near_the_length_of_a_placeholder_is_told():
    assert truncation.is_truncated(riff(0x7FFFF024, 0x7F000000))
    assert truncation.is_truncated(riff(0x70000000, 16044))
    assert not truncation.is_truncated(riff(0x7FFFF024, 0x7FFFF024 + 44))


@pytest.mark.parametrize("kind", ["mkv", "webm", "avi"])
def test_a_file_on_disk_is_complete_until_its_last_bytes_are_cut_off(tmp_path, kind):
    path = films.write(tmp_path / f"f.{kind}", KINDS[kind], films.numbered(20), 25)
    assert not truncation.is_truncated(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size - 500])
    assert truncation.is_truncated(path)
