"""What is opened as a film or sound, and what is said of what is not."""

from __future__ import annotations

import io

import av
import films
import pytest
from cloud_storage import errors
from cloud_storage.errors import Changed
from cloud_storage.media import container
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
