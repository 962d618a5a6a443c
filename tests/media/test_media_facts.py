from __future__ import annotations

import av
import numpy as np
import pytest
from cloud_storage.media.media_facts import MediaFacts, of_video


def written(path, codec, frames=12, rate=6):
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for index in range(frames):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), index * 9, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def test_an_mp4_says_how_many_frames_it_has(tmp_path):
    assert of_video(written(tmp_path / "a.mp4", "libx264")) == MediaFacts(64, 48, 12, 2.0)


def test_a_webm_does_not(tmp_path):
    facts = of_video(written(tmp_path / "a.webm", "libvpx-vp9"))
    assert (facts.width, facts.height, facts.frames) == (64, 48, None)
    assert facts.seconds == pytest.approx(2, abs=0.2)


def test_a_file_without_video_has_no_facts(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"no video")
    assert of_video(tmp_path / "a.mp4") == MediaFacts()
