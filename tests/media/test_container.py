"""What is opened as a film or sound, and what is said of what is not."""

from __future__ import annotations

import io
import struct
import wave

import av
import films
import pytest
from cloud_storage import errors
from cloud_storage.errors import Changed
from cloud_storage.media import container, truncation
from cloud_storage.media.video import video_writer
from films import KINDS


def test_a_file_on_disk_that_names_others_opens_none_of_them(tmp_path):
    films.write(tmp_path / "other.mp4", KINDS["mp4"], films.numbered(5), 25)
    scripts = {
        "concat": "ffconcat version 1.0\nfile other.mp4\n",
        "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nother.mp4\n#EXT-X-ENDLIST\n",
    }
    for name, text in scripts.items():
        path = tmp_path / f"{name}.mp4"
        path.write_text(text)
        if name == "concat":  # else this test could not fail
            with av.open(str(path)) as file:
                assert file.format.name == "concat"
        with pytest.raises(errors.MediaError, match="unknown"), container.opened(path, name, "a video"):
            raise AssertionError(name)


def test_what_ffmpeg_took_for_the_end_of_the_file_is_raised_all_the_same(tmp_path):
    path = films.write(tmp_path / "f.ts", KINDS["ts"], films.numbered(60), 25)

    class Ending(io.BytesIO):
        failure = None

        def read(self, size=-1):
            if self.tell() > 20_000:
                self.failure = Changed("It was replaced. Again.")
                return b""
            return super().read(size)

    source = Ending(path.read_bytes() * 8)
    with pytest.raises(Changed), container.opened(source, "f.ts", "a video") as file:
        for _ in file.decode(video=0):
            pass


def test_every_packet_that_is_copied_tells_when_it_is_decoded(tmp_path):
    path = films.write(tmp_path / "f.mkv", KINDS["mkv"], films.numbered(50), 25)
    with av.open(str(path)) as file:
        assert any(packet.dts is None for packet in file.demux() if packet.size)  # else this is no test
        file.seek(0)
        packets = [(packet.pts, packet.dts) for packet in video_writer._ordered(file.demux())]
    times = [decoded for _, decoded in packets]
    assert len(packets) == 50
    assert times == sorted(set(times))
    assert all(decoded <= shown for shown, decoded in packets)


# ------------------------------------------------------------ whether a file is all there


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
def test_bytes_behind_the_last_box_make_no_film_a_cut_off_one(tmp_path, kind, trailer):
    whole = films.write(tmp_path / f"f.{kind}", KINDS[kind], films.numbered(20), 25).read_bytes()
    source = io.BytesIO(whole + TRAILERS[trailer])
    assert len(whole) <= truncation.declared_bytes(source) <= len(source.getvalue())


def test_a_film_cut_off_in_any_box_behind_one_of_the_cameras_own_is_told(tmp_path):
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
