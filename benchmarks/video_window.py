"""16 frames from the start and from the middle of a film of 60 s at 1280 x 720: by range against a download.

Both sides decode the same window with the same code, and each runs in a process of its own on the same server
behind the same proxy (20 ms round trip, 25 MB/s a connection, a usual line to a far bucket). One reads the
object by ranges, the other downloads it first. The film has its index in front, then at its end. Printed:
bytes moved against the file's size, seconds, peak memory above that of the imports, and the ratios. Usage:
python benchmarks/video_window.py [--rounds N]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

import av
import numpy as np
from package import load_package

load_package()

from cloud_storage import profile
from cloud_storage.loading import download, range_reader
from cloud_storage.media.video import frame_sinks, frame_window, video_loader
from cloud_storage.storage import connect
from cloud_storage.storage.base import PutOptions
from cloud_storage.system.meter import Meter
from servers.fault_proxy import FaultProxy
from servers.ministack import MiniStack

WIDTH, HEIGHT, RATE, SECONDS, FRAMES = 1280, 720, 30, 60, 16
ROUND_TRIP_SECONDS, BYTES_PER_SECOND = 0.02, 25e6
CYCLE_SECONDS = 3  # after which the pictures begin again
WINDOWS = {"start": 0, "middle": RATE * SECONDS // 2}
SIDES = ("by range", "download")


def make_film(path: Path) -> None:
    """Waves that wander under the noise of a sensor, H.264 at a few Mbit/s, and stereo sound."""
    pictures = [picture(number) for number in range(RATE * CYCLE_SECONDS)]
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=RATE, options={"preset": "veryfast", "crf": "23"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        voice = file.add_stream("aac", rate=48000, layout="stereo")
        tone = 0.2 * np.sin(np.arange(48000 // RATE, dtype=np.float32) / 20)[None].repeat(2, 0)
        for number in range(RATE * SECONDS):
            file.mux(
                stream.encode(av.VideoFrame.from_ndarray(pictures[number % len(pictures)], format="rgb24"))
            )
            sound = av.AudioFrame.from_ndarray(np.ascontiguousarray(tone), "fltp", "stereo")
            sound.sample_rate, sound.pts = 48000, number * tone.shape[1]
            file.mux(voice.encode(sound))
        file.mux(stream.encode(None))
        file.mux(voice.encode(None))


def picture(number: int) -> np.ndarray:
    x, y = np.meshgrid(np.arange(WIDTH, dtype=np.float32), np.arange(HEIGHT, dtype=np.float32))
    angle = 2 * np.pi * number / (RATE * CYCLE_SECONDS)
    wave = 110 + 70 * np.sin(x / 90 + 3 * angle) * np.cos(y / 70 - 2 * angle)
    noise = np.random.default_rng(number).normal(0, 4, (HEIGHT, WIDTH, 1))
    return np.clip(wave[..., None] + noise, 0, 255).astype(np.uint8).repeat(3, 2)


def put_index_in_front(film: Path, copy: Path) -> None:
    with (
        av.open(str(film)) as source,
        av.open(str(copy), "w", container_options={"movflags": "faststart"}) as file,
    ):
        streams = {stream.index: file.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream_index]
                file.mux(packet)


def memory_bytes(field: str) -> int:
    """VmRSS or VmHWM of this process; the resource module's peak may be that of its parent."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))


def load(storage, key: str, skip: int, side: str, folder: Path) -> dict[str, float]:
    """Bytes, seconds and mebibytes of one load; the first one of a process, so that its peak is its own."""
    before = memory_bytes("VmRSS")
    meter, began = Meter(), time.perf_counter()
    window = frame_window.Window(frame_load_cap=FRAMES, skip_first_frames=skip)
    with contextlib.ExitStack() as stack:
        if side == "download":
            source = folder / "film.mp4"
            download.download(storage, key, source, meter)
        else:
            source = stack.enter_context(contextlib.closing(range_reader.RangeReader(storage, key, meter)))
        loaded = video_loader.load(source, key, window, frame_sinks.Tensor(), meter, lambda: 1 << 40)
    seconds = time.perf_counter() - began
    assert loaded.count == FRAMES
    memory = memory_bytes("VmHWM") - before
    return {"bytes": meter.done, "seconds": seconds, "mebibytes": memory / (1 << 20)}


def child(options) -> None:
    storage = opened(json.loads(options.child))
    storage.stat(options.key)  # the SDK is imported and connected for either side
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(load(storage, options.key, options.skip, options.side, Path(folder))))


def opened(environ: dict[str, str]):
    return connect.connect(profile.resolve("", {}, Path("none.json"), environ), environ)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--key", help=argparse.SUPPRESS)
    parser.add_argument("--skip", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--side", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        return child(options)
    with tempfile.TemporaryDirectory() as scratch, MiniStack(Path(scratch)) as server:
        bucket = server.create_bucket()
        with FaultProxy("127.0.0.1", server.port) as proxy:
            environ = {
                "COMFY_S3_PROVIDER": "Custom",
                "COMFY_S3_ENDPOINT_URL": proxy.url,
                "COMFY_S3_BUCKET": bucket,
                "COMFY_S3_REGION": server.region,
                "COMFY_S3_ACCESS_KEY": server.keys.access_key,
                "COMFY_S3_SECRET_KEY": server.keys.secret_key,
            }
            films = {"in front": Path(scratch) / "front.mp4", "at its end": Path(scratch) / "end.mp4"}
            make_film(films["at its end"])
            put_index_in_front(films["at its end"], films["in front"])
            for index, film in films.items():
                opened(environ).put("film.mp4", film, PutOptions(), Meter())
                proxy.latency_seconds = ROUND_TRIP_SECONDS
                proxy.bandwidth_bytes_per_second = BYTES_PER_SECOND
                size = film.stat().st_size
                tensor = FRAMES * HEIGHT * WIDTH * 3 * 4 / (1 << 20)
                print(
                    f"{SECONDS} s, {size / 1e6:.1f} MB, index {index}; "
                    f"the {FRAMES} frames are {tensor:.0f} MiB; medians of {options.rounds} rounds"
                )
                for place, skip in WINDOWS.items():
                    compare(environ, place, skip, size, options.rounds)
                proxy.clear()


def compare(environ: dict[str, str], place: str, skip: int, size: int, rounds: int) -> None:
    results: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
    for _ in range(rounds):
        for side in SIDES:
            command = [sys.executable, __file__, "--child", json.dumps(environ), "--key", "film.mp4"]
            command += ["--skip", str(skip), "--side", side]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env={**os.environ})
            results[side].append(json.loads(done.stdout.splitlines()[-1]))
    medians = {
        side: {name: statistics.median(each[name] for each in results[side]) for name in results[side][0]}
        for side in SIDES
    }
    for side, values in medians.items():
        print(
            f"  {place:6} {side:9} {values['bytes'] / size:7.1%} of the file, {values['seconds']:6.2f} s, "
            f"{values['mebibytes']:6.0f} MiB"
        )
    ours, theirs = (medians[side] for side in SIDES)
    print(
        f"  {place:6} download / by range: bytes {theirs['bytes'] / ours['bytes']:.1f}, "
        f"time {theirs['seconds'] / ours['seconds']:.1f}"
    )


if __name__ == "__main__":
    main()
