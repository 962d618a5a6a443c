"""Which pictures of a film are loaded: read from the numbers that they carry."""

from __future__ import annotations

import itertools
import math
import re
import threading
from fractions import Fraction
from types import SimpleNamespace

import av
import films
import numpy as np
import pytest
import torch
from cloud_storage import errors
from cloud_storage.media import container, memory_budget
from cloud_storage.media import packets as media_packets
from cloud_storage.media.video import frame_sinks, frame_window, video_loader, video_reader
from cloud_storage.system.meter import Meter
from films import KINDS

COUNT, RATE = 60, 25
PLENTY = 1 << 40
FRAME_BYTES = films.WIDTH * films.HEIGHT * 3 * 4


def load(path, *, sink=None, free=PLENTY, on_damage="load what is there", **window):
    numbers = {
        "force_rate": 0,
        "custom_width": 0,
        "custom_height": 0,
        "frame_load_cap": 0,
        "skip_first_frames": 0,
        "select_every_nth": 1,
        "preset": "None",
        **window,
    }
    sink, meter = sink or frame_sinks.Tensor(), Meter()

    def free_bytes():
        return free() if callable(free) else free - meter.frames_done * FRAME_BYTES

    window = frame_window.Window(**numbers)
    return video_loader.load(path, "f.mp4", window, sink, meter, free_bytes, on_damage)


def numbers(path, **window):
    return films.numbers(load(path, **window).frames)


@pytest.fixture(scope="session")
def film(tmp_path_factory):
    """``film(name)`` is a film of COUNT numbered pictures with clicks, of that one of KINDS."""
    folder, made = tmp_path_factory.mktemp("films"), {}

    def get(name):
        if name not in made:
            kind = KINDS[name]
            sound = films.clicks(COUNT / RATE) if kind.sound else None
            path = folder / f"{len(made)}.{kind.ending}"
            made[name] = films.write(path, kind, films.numbered(COUNT), RATE, sound=sound)
        return made[name]

    return get


every_kind = pytest.mark.parametrize("kind", KINDS)


@every_kind
def test_every_frame_comes_once_and_in_order(film, kind):
    loaded = load(film(kind))
    assert films.numbers(loaded.frames) == list(range(COUNT))
    assert loaded.count == COUNT


@every_kind
@pytest.mark.parametrize(("skip", "nth", "cap"), [(0, 1, 7), (13, 1, 5), (31, 3, 0), (47, 2, 4), (59, 1, 0)])
def test_skip_nth_and_cap_pick_by_counting(film, kind, skip, nth, cap):
    picked = numbers(film(kind), skip_first_frames=skip, select_every_nth=nth, frame_load_cap=cap)
    assert picked == list(range(COUNT))[skip::nth][: cap or None]


@every_kind
@pytest.mark.parametrize(
    ("rate", "skip", "nth", "cap"), [(10, 0, 1, 0), (8, 9, 2, 0), (60, 66, 1, 20), (25, 40, 1, 9)]
)
def test_a_rate_picks_the_first_frame_that_is_not_before_its_time(film, kind, rate, skip, nth, cap):
    # The n-th picture at a rate is the one that VideoHelperSuite stops at: it takes pictures until their
    # time, a multiple of the file's, has reached a multiple of the rate's.
    places = []
    place = skip
    while math.ceil(Fraction(place * RATE, rate)) < COUNT and (not cap or len(places) < cap):
        places.append(math.ceil(Fraction(place * RATE, rate)))
        place += nth
    picked = numbers(
        film(kind), force_rate=rate, skip_first_frames=skip, select_every_nth=nth, frame_load_cap=cap
    )
    assert picked == places


def test_the_video_with_open_groups_has_frames_to_leave_out(film):
    with av.open(str(film("mp4, open groups"))) as file:
        packets = [packet for packet in file.demux(video=0) if packet.pts is not None]
    keys = [index for index, packet in enumerate(packets) if packet.is_keyframe]
    led = [index for index in keys if any(later.pts < packets[index].pts for later in packets[index:])]
    assert led


with_an_index = pytest.mark.skipif(not films.HAS_INDEX, reason="this PyAV gives no index")


@with_an_index
@pytest.mark.parametrize("kind", ["mp4", "mp4, index at its end", "mp4, open groups", "mov"])
def test_counting_begins_at_a_key_near_by_where_the_index_is_whole(film, kind):
    window = frame_window.Window(skip_first_frames=50)
    with container.opened(film(kind), "f", "a video") as file:
        first = next(video_reader.VideoReader(file, film(kind), "f", Meter()).frames(window))
    assert 50 - 3 - 12 <= first.index <= 50  # a group of pictures, and the lead that sound gets
    assert films.number(torch.from_numpy(first.frame.to_ndarray(format="rgb24")) / 255) == first.index


@pytest.mark.parametrize("kind", ["mp4", "mp4, fragmented", "mov", "mkv", "webm"])
def test_a_rate_begins_at_a_key_near_by(film, kind):
    window = frame_window.Window(force_rate=25, skip_first_frames=50)
    with container.opened(film(kind), "f", "a video") as file:
        first = next(video_reader.VideoReader(file, film(kind), "f", Meter()).frames(window))
    assert 1 <= first.seconds <= 2


@pytest.mark.parametrize("kind", ["mp4", "mp4, fragmented", "mov", "mkv", "webm", "ts"])
def test_a_video_can_be_read_again_from_its_start(film, kind):
    everything = frame_window.Window()
    with container.opened(film(kind), "f", "a video") as file:
        opened = video_reader.VideoReader(file, film(kind), "f", Meter())
        assert [each.index for each in itertools.islice(opened.frames(everything), 30)] == list(range(30))
        again = [each.frame.to_ndarray(format="rgb24") for each in opened.frames(everything)]
    assert films.numbers(torch.from_numpy(np.stack(again)) / 255) == list(range(COUNT))


def test_a_long_transport_stream_is_sought_although_it_lands_between_keys(tmp_path):
    path = films.write(tmp_path / "long.ts", KINDS["ts"], films.numbered(500), RATE)
    assert numbers(path, force_rate=25, skip_first_frames=400, frame_load_cap=3) == [400, 401, 402]


def test_a_stream_that_is_sought_between_keys_is_shown_from_the_next_key_on(tmp_path):
    kind = films.Kind("ts", "mpeg2video", encoder_options={"g": "12", "qscale": "2"}, sound="mp2")
    path = films.write(tmp_path / "f.ts", kind, films.numbered(300), RATE)
    assert numbers(path, force_rate=25, skip_first_frames=200, frame_load_cap=30) == list(range(200, 230))


# -------------------------------------------------------------------------------- times of the file's own


@pytest.mark.parametrize("kind", ["mp4", "mkv", "webm", "ts"])
@pytest.mark.parametrize("rate", [30, 24, Fraction(30000, 1001)])
def test_times_that_a_file_rounds_pick_the_same_frames(tmp_path, kind, rate):
    path = films.write(tmp_path / f"f.{KINDS[kind].ending}", KINDS[kind], films.numbered(100), rate)
    assert numbers(path, force_rate=float(rate)) == list(range(100))
    assert numbers(path, force_rate=float(rate), skip_first_frames=61, frame_load_cap=20) == list(
        range(61, 81)
    )


def uneven(count):
    """Instants as of a screen recording: bursts at 50 a second, and pauses of half a second."""
    instants, now = [], Fraction(0)
    for index in range(count):
        instants.append(now)
        now += Fraction(1, 2) if index % 8 == 7 else Fraction(1, 50)
    return instants


@pytest.mark.parametrize("kind", ["mp4", "mp4, index at its end", "mp4, fragmented", "mov", "mkv", "webm"])
@pytest.mark.parametrize(("rate", "skip"), [(10, 0), (10, 17), (30, 50)])
def test_with_a_variable_frame_rate_frames_are_picked_by_their_timestamps(tmp_path, kind, rate, skip):
    instants = uneven(40)
    path = films.write(tmp_path / f"f.{KINDS[kind].ending}", KINDS[kind], films.numbered(40), 25, instants)
    expected = []
    for place in itertools.count(skip):
        later = [index for index, instant in enumerate(instants) if instant >= Fraction(place, rate)]
        if not later:
            break
        expected.append(later[0])
    assert numbers(path, force_rate=rate, skip_first_frames=skip) == expected


@pytest.mark.parametrize("kind", ["mp4", "mkv"])
def test_without_a_rate_frames_of_a_variable_rate_are_counted(tmp_path, kind):
    path = films.write(tmp_path / f"f.{KINDS[kind].ending}", KINDS[kind], films.numbered(40), 25, uneven(40))
    assert numbers(path, skip_first_frames=29, frame_load_cap=4) == [29, 30, 31, 32]


def test_the_audio_of_a_video_with_a_variable_frame_rate_is_that_of_its_window(tmp_path):
    instants = uneven(16)
    sound = films.clicks(3)
    path = films.write(tmp_path / "f.mkv", KINDS["mkv"], films.numbered(16), 25, instants, sound=sound)
    loaded = load(path, skip_first_frames=8)
    seconds = loaded.audio["waveform"].shape[2] / loaded.audio["sample_rate"]
    assert abs(seconds - float(instants[15] - instants[8] + 1 / loaded.rate)) < 0.002


# ---------------------------------------------------------------------------------- turned, deep, see-through


# Where a stored picture's right and lower side lead when it is shown; and the picture that is stored so, of
# one that is upright.
MATRICES = {
    "as it is": ((1, 0, 0, 1), lambda pixels: pixels),
    "a quarter with the clock": ((0, 1, -1, 0), lambda pixels: np.rot90(pixels, 1)),
    "half": ((-1, 0, 0, -1), lambda pixels: np.rot90(pixels, 2)),
    "a quarter against the clock": ((0, -1, 1, 0), lambda pixels: np.rot90(pixels, -1)),
    "mirrored": ((-1, 0, 0, 1), lambda pixels: pixels[:, ::-1]),
    "upside down": ((1, 0, 0, -1), lambda pixels: pixels[::-1]),
    "rows for columns": ((0, 1, 1, 0), lambda pixels: np.swapaxes(pixels, 0, 1)),
    "rows for columns, from the other corner": (
        (0, -1, -1, 0),
        lambda pixels: np.swapaxes(pixels, 0, 1)[::-1, ::-1],
    ),
    "nonsense": ((0, 0, 0, 0), lambda pixels: pixels),
}


@pytest.mark.parametrize("matrix", MATRICES)
@pytest.mark.parametrize("ending", ["mp4", "mov"])
def test_a_rotated_or_mirrored_video_is_loaded_upright(tmp_path, matrix, ending):
    numbers_of_matrix, stored = MATRICES[matrix]
    upright = films.numbered(8)
    kind = films.Kind(ending, encoder_options={"bf": "0"})
    path = films.write(tmp_path / f"f.{ending}", kind, [stored(pixels) for pixels in upright], 25)
    loaded = load(films.shown_by(path, numbers_of_matrix))
    assert loaded.frames.shape[1:3] == (films.HEIGHT, films.WIDTH)
    assert films.numbers(loaded.frames) == list(range(8))
    assert (loaded.info["source_width"], loaded.info["source_height"]) == (films.WIDTH, films.HEIGHT)


@pytest.mark.parametrize(
    "kind",
    [
        films.Kind(
            "mp4", "libx265", "yuv420p10le", encoder_options={"x265-params": "log-level=error:lossless=1"}
        ),
        films.Kind("mkv", "ffv1", "yuv444p10le"),
    ],
    ids=["h265", "ffv1"],
)
def test_ten_bits_stay_more_than_eight(tmp_path, kind):
    ramp = np.repeat(np.linspace(0, 65535, 512).astype(np.uint16)[None, :, None], 64, 0).repeat(3, 2)
    frame = load(films.write(tmp_path / f"f.{kind.ending}", kind, [ramp] * 3, 25)).frames[0]
    levels = np.unique((frame[32, :, 1].numpy() * 1023).round())
    assert len(levels) > 400
    assert np.abs(frame[32, :, 1].numpy() - ramp[32, :, 1] / 65535).max() < 0.01


@pytest.mark.parametrize(
    "kind",
    [
        films.Kind("webm", "libvpx-vp9", "yuva420p"),
        films.Kind("mov", "qtrle", "argb"),
        films.Kind("mov", "prores_ks", "yuva444p10le"),
        films.Kind("mkv", "ffv1", "yuva444p"),
    ],
    ids=["vp9", "qtrle", "prores", "ffv1"],
)
@pytest.mark.parametrize("skip", [0, 5])
def test_transparency_comes_as_a_fourth_channel(tmp_path, kind, skip):
    pictures = [films.picture(index, channels=4) for index in range(8)]
    loaded = load(films.write(tmp_path / f"f.{kind.ending}", kind, pictures, 25), skip_first_frames=skip)
    assert loaded.frames.shape == (8 - skip, films.HEIGHT, films.WIDTH, 4)
    assert films.numbers(loaded.frames) == list(range(skip, 8))
    assert (loaded.frames[..., 3] - torch.from_numpy(pictures[0][..., 3]) / 255).abs().max() < 0.05


def test_a_gif_without_transparency_has_three_channels_and_one_with_it_four(tmp_path):
    from PIL import Image

    for name, alpha, channels in (("solid.gif", 255, 3), ("holed.gif", 0, 4)):
        pictures = []
        for index in range(4):
            pixels = films.picture(index, channels=4)
            pixels[..., 3] = 255
            pixels[:8, :8, 3] = alpha
            pictures.append(Image.fromarray(pixels))
        pictures[0].save(tmp_path / name, save_all=True, append_images=pictures[1:], duration=100, disposal=2)
        frames = load(tmp_path / name).frames
        assert frames.shape[3] == channels
        assert films.numbers(frames) == [0, 1, 2, 3]


# --------------------------------------------------------------------------------------------- sizes


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, (160, 96)),
        ({"custom_width": 80}, (80, 48)),
        ({"custom_height": 72}, (120, 72)),
        ({"custom_width": 64, "custom_height": 64}, (64, 64)),
        ({"custom_width": 100, "preset": "AnimateDiff"}, (104, 64)),
        ({"preset": "Hunyuan"}, (160, 96)),
        ({"custom_width": 90, "preset": "LTXV"}, (96, 64)),
        ({"custom_width": 3, "preset": "Wan"}, (8, 8)),
    ],
)
def test_sides_follow_the_rules(film, asked, expected):
    loaded = load(film("mp4"), frame_load_cap=5, **asked)
    assert (loaded.frames.shape[2], loaded.frames.shape[1]) == expected
    assert (loaded.info["loaded_width"], loaded.info["loaded_height"]) == expected


@pytest.mark.parametrize(
    ("preset", "rate", "count"),
    [("AnimateDiff", 8, 19), ("Mochi", 24, 55), ("LTXV", 24, 57), ("Hunyuan", 24, 57), ("Wan", 16, 37)],
)
def test_a_preset_sets_rate_and_count(film, preset, rate, count):
    loaded = load(film("mp4"), preset=preset)
    assert loaded.rate == rate
    assert loaded.count == len(loaded.frames) == count
    assert (count - frame_window.PRESETS[preset].frames[1]) % frame_window.PRESETS[preset].frames[0] == 0


def test_a_rate_that_is_set_is_stronger_than_the_presets(film):
    assert load(film("mp4"), preset="Wan", force_rate=5).rate == 5


# --------------------------------------------------------------------------------------------- sound


@pytest.mark.parametrize("kind", [name for name, kind in KINDS.items() if kind.sound])
@pytest.mark.parametrize(("rate", "skip", "cap"), [(0, 0, 0), (0, 20, 15), (10, 7, 9)])
def test_the_audio_is_that_of_the_window(film, kind, rate, skip, cap):
    loaded = load(film(kind), force_rate=rate, skip_first_frames=skip, frame_load_cap=cap)
    start, end = skip / (rate or RATE), (skip + loaded.count) / (rate or RATE)
    waveform, sound_rate = loaded.audio["waveform"], loaded.audio["sample_rate"]
    assert waveform.shape == (1, 2, round((end - start) * sound_rate))
    expected = [time - start for time in np.arange(0.5, end, 0.5) if start < time < end - 0.02]
    heard = [time for time in films.click_times(waveform[0].numpy(), sound_rate) if time > 0.03]
    assert np.allclose(heard, [time for time in expected if time > 0.03], atol=0.03)


@pytest.mark.parametrize("kind", [name for name, kind in KINDS.items() if kind.sound])
@pytest.mark.parametrize("window", [{"skip_first_frames": 33}, {"force_rate": 25, "skip_first_frames": 33}])
def test_the_audio_of_a_window_begins_with_its_first_moment(tmp_path, kind, window):
    path = tmp_path / f"f.{KINDS[kind].ending}"
    films.write(path, KINDS[kind], films.numbered(COUNT), RATE, sound=films.tones(2, COUNT / RATE))
    waveform = load(path, **window).audio["waveform"][0].numpy()
    pieces = np.abs(waveform[:, : 48 * 480].reshape(2, 48, 480)).max(axis=2)  # of 10 ms
    assert pieces.min() > 0.1


def test_a_video_without_audio_gives_silence_as_long_as_its_frames(film):
    loaded = load(film("gif"), frame_load_cap=10)
    waveform = loaded.audio["waveform"]
    assert not loaded.has_audio
    assert waveform.shape == (1, 2, round(10 / loaded.rate * loaded.audio["sample_rate"]))
    assert not waveform.any()


@pytest.mark.parametrize("kind", ["mp4", "gif"])
def test_audio_of_a_video_that_does_not_fit_into_memory_is_refused_with_what_to_set(film, kind):
    free = iter([PLENTY])  # for the frame; after that there is less than its audio takes
    with pytest.raises(errors.MediaError, match=r"s of audio take \d+\.\d GB.*Set select_every_nth"):
        load(film(kind), free=lambda: next(free, 1000), select_every_nth=100)


@pytest.mark.parametrize("kind", ["mp4", "mkv", "webm", "gif"])
@pytest.mark.parametrize("window", [{}, {"force_rate": 10}, {"skip_first_frames": 31}, {"frame_load_cap": 1}])
@pytest.mark.parametrize("nth", [7, COUNT, 2**31 - 1])
def test_the_audio_of_every_nth_frame_ends_with_the_video(film, kind, window, nth):
    loaded = load(film(kind), select_every_nth=nth, **window)
    start = window.get("skip_first_frames", 0) / RATE
    end = min(COUNT / RATE, start + loaded.count * nth / window.get("force_rate", RATE))
    seconds = loaded.audio["waveform"].shape[2] / loaded.audio["sample_rate"]
    assert abs(seconds - (end - start)) < 0.002


def test_audio_that_ends_early_is_followed_by_silence(tmp_path):
    path = films.write(tmp_path / "f.mkv", KINDS["mkv"], films.numbered(50), RATE, sound=films.tones(2, 0.5))
    waveform = load(path).audio["waveform"]
    assert waveform.shape[2] == 2 * films.SOUND_RATE
    assert waveform[..., : films.SOUND_RATE // 2].abs().max() > 0.3
    assert not waveform[..., films.SOUND_RATE * 6 // 10 :].any()


# ------------------------------------------------------------------------------------------- what is told


def test_the_ten_facts_are_told(film):
    info = load(film("mp4"), force_rate=10, skip_first_frames=4, select_every_nth=2, custom_width=80).info
    assert info == {
        "source_fps": 25.0,
        "source_frame_count": 60,
        "source_duration": 2.4,
        "source_width": 160,
        "source_height": 96,
        "loaded_fps": 5.0,
        "loaded_frame_count": 10,
        "loaded_duration": 2.0,
        "loaded_width": 80,
        "loaded_height": 48,
    }


def test_frames_are_counted_on_the_meter(film):
    meter = Meter()
    window = frame_window.Window(frame_load_cap=12)
    video_loader.load(film("mp4"), "f", window, frame_sinks.Tensor(), meter, lambda: PLENTY)
    assert (meter.frames_done, meter.frames_total) == (12, 12)


def test_a_stopped_meter_ends_a_load(film):
    class Stopping(frame_sinks.Tensor):
        def add(self, pixels):
            super().add(pixels)
            if self._filled == 5:
                meter.stop()

    meter = Meter()
    with pytest.raises(errors.TransferCancelled):
        video_loader.load(film("mp4"), "f", frame_window.Window(), Stopping(), meter, lambda: PLENTY)
    assert meter.frames_done == 5


# ----------------------------------------------------------------------------------------------- latents


class Vae:
    """Makes sides eight times smaller, keeps what it was given. Its weights are made as ComfyUI's are."""

    def __init__(self, dimensions=2):
        self.latent_dim, self.given = dimensions, []
        with torch.inference_mode():
            self.layer = torch.nn.Conv2d(3, 3, 1)

    def spacial_compression_encode(self):
        return 8

    def encode(self, pixels):
        self.given.append(pixels.clone())
        small = self.layer(pixels[:, ::8, ::8].movedim(-1, 1))
        return small if self.latent_dim == 2 else small.movedim(0, 1)[None]


def test_a_vae_gets_a_few_frames_at_a_time(film, monkeypatch):
    monkeypatch.setattr(frame_sinks, "BATCH_PIXELS", 160 * 96 * 7)
    vae = Vae()
    loaded = load(film("mp4"), sink=frame_sinks.Latents(vae, Meter()), select_every_nth=2)
    assert [len(given) for given in vae.given] == [7, 7, 7, 7, 2]
    assert loaded.frames.shape == (30, 3, 12, 20)
    assert films.numbers(torch.cat(vae.given)) == list(range(0, 60, 2))


def test_a_vae_for_video_gets_all_frames_at_once(film):
    vae = Vae(dimensions=3)
    loaded = load(film("mp4"), sink=frame_sinks.Latents(vae, Meter()), preset="Wan")
    assert [len(given) for given in vae.given] == [37]
    assert loaded.frames.shape == (1, 3, 37, 12, 20)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_nodes_can_work_on_a_latent_as_on_one_of_vae_encode(film, dimensions):
    latent = load(film("mp4"), sink=frame_sinks.Latents(Vae(dimensions), Meter()), frame_load_cap=9).frames
    assert not latent.requires_grad
    assert (latent * 2).numpy().shape == tuple(latent.shape)
    with torch.inference_mode():
        twice = latent.clone() * 2
        latent[:1].mul_(2)
        latent[1:].add_(latent[1:])
        assert torch.equal(latent, twice)


def test_videos_loaded_in_parallel_are_encoded_one_at_a_time(film):
    waits, steps, beside = threading.Event(), [], []

    class Waiting(Meter):
        def check(self):
            waits.set()
            super().check()

    def load_beside():
        beside.append(load(film("mp4"), sink=frame_sinks.Latents(Slow(), Waiting()), frame_load_cap=3))
        waits.set()

    thread = threading.Thread(target=load_beside)

    class Slow(Vae):
        def encode(self, pixels):
            steps.append("begins")
            if thread.ident is None:
                thread.start()
                waits.wait()
            steps.append("ends")
            return super().encode(pixels)

    assert load(film("mp4"), sink=frame_sinks.Latents(Slow(), Meter()), frame_load_cap=2).count == 2
    thread.join()
    assert steps == ["begins", "ends"] * 2
    assert beside[0].frames.shape[0] == 3


def test_who_waits_for_the_vae_can_be_cancelled_and_one_that_fails_is_waited_for_by_nobody(film):
    stopped = Meter()
    stopped.stop()

    class Failing(Vae):
        def encode(self, pixels):
            with pytest.raises(errors.TransferCancelled):
                load(film("mp4"), sink=frame_sinks.Latents(Vae(), stopped))
            raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        load(film("mp4"), sink=frame_sinks.Latents(Failing(), Meter()))
    assert load(film("mp4"), sink=frame_sinks.Latents(Vae(), stopped)).count == COUNT


def test_a_vae_sets_the_multiple_of_the_sides(film):
    loaded = load(film("mp4"), sink=frame_sinks.Latents(Vae(), Meter()), custom_width=100, frame_load_cap=1)
    assert (loaded.info["loaded_width"], loaded.info["loaded_height"]) == (104, 64)


# ---------------------------------------------------------------------------------------------- refusals


def test_what_would_not_fit_into_memory_is_refused_with_what_would(film):
    free = memory_budget.SPARE_BYTES + 20 * FRAME_BYTES
    with pytest.raises(
        errors.MediaError, match=r"60 frames of 160 x 96.*frame_load_cap to 20 or less.*custom_width"
    ) as raised:
        load(film("mp4"), free=free)
    assert "0.0 GB" in str(raised.value)
    assert load(film("mp4"), free=free, frame_load_cap=20).count == 20
    with pytest.raises(errors.MediaError):
        load(film("mp4"), free=free, frame_load_cap=21)


def test_a_video_that_states_too_few_frames_is_loaded_completely(film, monkeypatch):
    monkeypatch.setattr(video_reader.VideoReader, "count", property(lambda reader: 3))
    assert numbers(film("mp4")) == list(range(COUNT))


@pytest.fixture
def live(tmp_path):
    """A film that tells no length, as a recorder leaves it."""
    path = tmp_path / "live.mkv"
    with av.open(str(path), "w", format="matroska", container_options={"live": "1"}) as file:
        stream = file.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = films.WIDTH, films.HEIGHT, "yuv420p"
        for pixels in films.numbered(COUNT):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(np.asarray(pixels), format="rgb24")))
        file.mux(stream.encode(None))
    with av.open(str(path)) as file:
        assert not file.duration
    return path


def load_within(path, frames, **inputs):
    """Load with so much memory that so many frames fit."""
    return load(path, free=memory_budget.SPARE_BYTES + frames * FRAME_BYTES, **inputs)


@pytest.mark.parametrize("vae", [None, 3])
def test_a_video_without_a_stated_length_is_refused_when_no_further_frame_fits(live, vae):
    def sink():
        return frame_sinks.Latents(Vae(vae), Meter()) if vae else frame_sinks.Tensor()

    for cap in (0, 50):
        with pytest.raises(errors.MediaError, match=r"21 frames of 160 x 96.*frame_load_cap to 20 or less"):
            load_within(live, 20, sink=sink(), frame_load_cap=cap)
    assert load_within(live, 20, sink=sink(), frame_load_cap=20).count == 20
    assert load_within(live, COUNT, sink=sink()).count == COUNT


def test_frames_of_a_video_without_a_stated_length_go_to_a_vae_in_batches(live, monkeypatch):
    monkeypatch.setattr(frame_sinks, "BATCH_PIXELS", films.WIDTH * films.HEIGHT * 25)
    vae = Vae()
    assert load_within(live, 30, sink=frame_sinks.Latents(vae, Meter())).count == COUNT
    assert [len(given) for given in vae.given] == [25, 25, 10]


class Shared:
    """Memory for so many frames, that several loads share. ``sink`` fills it; ``meanwhile`` is called before
    each of its frames with how many it has.
    """

    def __init__(self, frames):
        self.frames = frames

    def free(self):
        return memory_budget.SPARE_BYTES + self.frames * FRAME_BYTES

    def sink(self, meanwhile=lambda filled: None):
        shared = self

        class Sink(frame_sinks.Tensor):
            def add(self, pixels):
                meanwhile(self._filled)
                super().add(pixels)
                shared.frames -= 1

        return Sink()


@pytest.mark.parametrize("moment", [0, 30, COUNT - 1])
def test_videos_loaded_in_parallel_share_the_memory(film, moment):
    shared = Shared(COUNT + 25)
    beside = []

    def meanwhile(filled):
        if filled == moment:
            with pytest.raises(errors.MediaError, match=r"60 frames of 160 x 96.*cap to 25 or less"):
                load(film("mp4"), free=shared.free)
            beside.append(load(film("mp4"), sink=shared.sink(), free=shared.free, frame_load_cap=25))

    assert load(film("mp4"), sink=shared.sink(meanwhile), free=shared.free).count == COUNT
    assert [loaded.count for loaded in beside] == [25]
    assert shared.frames == 0


def test_the_memory_of_a_load_that_failed_is_free_again(film):
    shared = Shared(COUNT + 25)

    def meanwhile(filled):
        raise errors.TransferCancelled

    with pytest.raises(errors.TransferCancelled):
        load(film("mp4"), sink=shared.sink(meanwhile), free=shared.free)
    assert load(film("mp4"), free=shared.free).count == COUNT


def test_a_video_without_a_stated_length_takes_no_memory_that_another_call_reserved(live):
    shared = Shared(COUNT)
    with memory_budget.Reservation("", "", shared.free) as other:

        def meanwhile(filled):
            if filled == 1:
                other.reserve(40 * FRAME_BYTES, "", str)

        with pytest.raises(errors.MediaError, match=r"21 frames of 160 x 96.*cap to 20 or less"):
            load(live, sink=shared.sink(meanwhile), free=shared.free)
    assert shared.frames == 40


def test_a_window_behind_the_end_is_an_error_that_tells_how_many_there_are(film):
    with pytest.raises(errors.MediaError, match=r"about 60 frames, and skip_first_frames is 60"):
        load(film("mp4"), skip_first_frames=60)


@pytest.mark.parametrize("numbers", [{"select_every_nth": 0}, {"skip_first_frames": -1}, {"preset": "Sora"}])
def test_numbers_that_mean_nothing_are_refused(film, numbers):
    with pytest.raises(errors.MediaError):
        load(film("mp4"), **numbers)


def test_for_a_file_with_audio_alone_the_message_names_the_node_that_reads_it(tmp_path):
    with av.open(str(tmp_path / "f.mp4"), "w") as file:
        voice = file.add_stream("aac", rate=48000, layout="mono")
        frame = av.AudioFrame.from_ndarray(films.tones(1), "fltp", "mono")
        frame.sample_rate = 48000
        file.mux(voice.encode(frame))
        file.mux(voice.encode(None))
    with pytest.raises(errors.MediaError, match=r"no video.*Load Audio from Cloud"):
        load(tmp_path / "f.mp4")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"<!DOCTYPE html><html>Password:</html>" * 9, "HTML"),
        (b"PK\x03\x04" + bytes(500), "ZIP"),
        (b"#EXTM3U\n#EXTINF:5,\nfile:///etc/passwd\n", "unknown"),
        (b"ffconcat version 1.0\nfile '/etc/passwd'\n", "unknown"),
        (bytes(1000), "unknown"),
    ],
)
def test_a_file_that_is_no_video_is_named(tmp_path, data, words):
    (tmp_path / "f.mp4").write_bytes(data)
    with pytest.raises(errors.MediaError, match=words) as raised:
        load(tmp_path / "f.mp4")
    assert "f.mp4" in str(raised.value)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "BMP"])
def test_for_an_image_named_as_a_video_the_message_names_the_node_that_reads_it(tmp_path, form):
    from PIL import Image

    Image.new("RGB", (16, 16)).save(tmp_path / "f.mp4", form)
    with pytest.raises(errors.MediaError, match="Load Image from Cloud"):
        load(tmp_path / "f.mp4")


@pytest.mark.parametrize("kind", [name for name in KINDS if name not in ("gif", "ts")])
@pytest.mark.parametrize("share", [0.05, 0.4, 0.9])
def test_of_a_video_that_is_cut_off_the_rest_is_loaded_and_a_line_says_so(film, tmp_path, kind, share):
    whole = film(kind).read_bytes()
    (tmp_path / "f.mp4").write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(errors.MediaError, match=r"cut off|damaged|decode"):
        load(tmp_path / "f.mp4", on_damage="fail")
    try:
        loaded = load(tmp_path / "f.mp4")
    except errors.MediaError as error:  # nothing can be decoded of it
        assert share < 0.3 or kind in ("mp4, index at its end", "mp4, open groups", "mov")
        assert "cut off" in str(error) or "no picture" in str(error)
        return
    found = films.numbers(loaded.frames)
    assert found[:-1] == list(range(COUNT))[: len(found) - 1]
    assert any("The file is cut off after" in note or "damaged after" in note for note in loaded.notes)


def test_for_complete_videos_there_is_no_note_and_none_is_refused(film):
    for kind in KINDS:
        assert load(film(kind), on_damage="fail").notes == (), kind


def test_of_a_video_that_is_cut_off_a_complete_window_can_be_loaded(film, tmp_path):
    whole = film("mp4").read_bytes()
    (tmp_path / "f.mp4").write_bytes(whole[: len(whole) * 2 // 3])
    assert numbers(tmp_path / "f.mp4", frame_load_cap=6) == list(range(6))


def test_the_module_of_pyav_that_has_no_index_costs_time_only(film, monkeypatch):
    monkeypatch.setattr(video_reader.VideoReader, "_index", lambda self: [])
    assert numbers(film("mp4"), skip_first_frames=50, frame_load_cap=3) == [50, 51, 52]


@with_an_index
def test_a_seek_that_misses_is_made_good(film, monkeypatch):
    late = SimpleNamespace(tries=0)
    real = video_reader.VideoReader._entries

    def entries(self, window):
        for timestamp in real(self, window):
            late.tries += 1
            yield None if timestamp is None else timestamp + 20 * 512

    monkeypatch.setattr(video_reader.VideoReader, "_entries", entries)
    assert numbers(film("mp4"), skip_first_frames=40, frame_load_cap=3) == [40, 41, 42]
    assert late.tries > 1
    assert numbers(film("mp4"), force_rate=25, skip_first_frames=40, frame_load_cap=3) == [40, 41, 42]


# ------------------------------------------------------------------------------------- damaged, and uneven


def damaged(path, share=0.5, count=300):
    """The file at ``path`` with so many bytes of noise after that share of it."""
    data = bytearray(path.read_bytes())
    start = int(len(data) * share)
    data[start : start + count] = np.random.default_rng(3).integers(0, 255, count, np.uint8).tobytes()
    path.write_bytes(data)
    return path


def noisy(count):
    """Numbered pictures whose files are large enough for damage to hit only a few."""
    grain = np.random.default_rng(1)
    pictures = []
    for index in range(count):
        pixels = films.picture(index).astype(int)
        pixels[..., 2] = grain.integers(0, 255, pixels.shape[:2])
        pictures.append(pixels.astype(np.uint8))
    return pictures


DAMAGED = {
    "h264, mp4": films.Kind(
        "mp4", muxer_options={"movflags": "faststart"}, encoder_options={"g": "5", "bf": "0"}
    ),
    "h264, ts": films.Kind("ts", encoder_options={"g": "5", "bf": "0"}),
    "png": films.Kind("mov", "png", "rgb24"),
}


@pytest.mark.parametrize("kind", DAMAGED)
@pytest.mark.parametrize("share", [0.3, 0.6, 0.97])
def test_one_damaged_spot_costs_a_few_frames_and_loading_succeeds(tmp_path, kind, share):
    path = films.write(tmp_path / f"f.{DAMAGED[kind].ending}", DAMAGED[kind], noisy(COUNT), RATE)
    loaded = load(damaged(path, share))
    found = films.numbers(loaded.frames)
    assert len(set(found) & set(range(COUNT))) >= COUNT - 6
    assert found[:10] == list(range(10))
    assert any(words in " ".join(loaded.notes) for words in ("Damaged frames", "could not be decoded"))
    with pytest.raises(errors.MediaError, match="on_damage to `load what is there`"):
        load(path, on_damage="fail")
    assert load(path, on_damage="fail", frame_load_cap=5).notes == ()


SILENT = {
    "mkv": films.Kind("mkv", encoder_options={"g": "5", "bf": "0"}, sound=""),
    "mkv, with sound": films.Kind("mkv", encoder_options={"g": "5", "bf": "0"}, sound="flac"),
    "mpeg2, ts": films.Kind("ts", "mpeg2video", encoder_options={"g": "5"}, sound=""),
}


@pytest.mark.parametrize("kind", SILENT)
def test_frames_that_ffmpeg_skips_without_an_error_are_reported(tmp_path, kind):
    row = SILENT[kind]
    sound = films.tones(2, COUNT / RATE) if row.sound else None
    path = films.write(tmp_path / f"f.{row.ending}", row, noisy(COUNT), RATE, sound=sound)
    assert load(path, on_damage="fail").notes == ()
    with av.open(str(path)) as file:
        packets = [packet for packet in file.demux(file.streams.video[0]) if packet.size]
    at = packets[22].pos - 16  # the header of its block, or of a packet of the stream
    data = bytearray(path.read_bytes())
    data[at : at + 300] = bytes(300)
    path.write_bytes(data)
    loaded = load(path)
    assert COUNT - 8 < loaded.count < COUNT
    assert any(re.match(r"\d frames? could not be decoded, near 0\.8", note) for note in loaded.notes)
    with pytest.raises(errors.MediaError, match=r"could not be decoded|damaged frames"):
        load(path, on_damage="fail")


@pytest.mark.parametrize("kind", ["mp4", "mkv", "webm", "ts"])
def test_a_video_that_leaves_out_some_frames_is_not_damaged(tmp_path, kind):
    row = KINDS[kind]
    instants = [Fraction(place, RATE) for place in range(COUNT + 9) if not 20 <= place < 29]
    path = films.write(tmp_path / f"f.{row.ending}", row, films.numbered(COUNT), RATE, instants)
    loaded = load(path, on_damage="fail")
    assert (loaded.count, loaded.notes) == (COUNT, ())


def test_transparency_beside_frames_at_a_variable_rate_is_no_damage(tmp_path):
    """A block of it lies between two packets and looks like bytes that FFmpeg passed over."""
    random = np.random.default_rng(1)
    pictures = films.numbered(20, channels=4)
    for pixels in pictures:
        pixels[..., 3] = random.integers(0, 256, pixels.shape[:2])
    lengths = itertools.cycle((16, 33, 100))
    instants = itertools.accumulate((Fraction(next(lengths), 1000) for _ in pictures), initial=Fraction(0))
    kind = films.Kind("webm", "libvpx-vp9", "yuva420p", encoder_options={"cpu-used": "8"}, sound="")
    path = films.write(tmp_path / "s.webm", kind, pictures, 30, list(instants))
    loaded = load(path, on_damage="fail")
    assert (loaded.count, loaded.frames.shape[3], loaded.notes) == (20, 4, ())


@pytest.mark.parametrize("tells", [True, False], ids=["PyAV tells", "PyAV before 16"])
def test_what_a_matroska_keeps_beside_frames_at_a_variable_rate_is_no_damage(tmp_path, monkeypatch, tells):
    """As HDR10+: here it is transparency, of which the track does not speak."""
    if not tells:
        monkeypatch.setattr(media_packets, "_has_additions", lambda packet: False)
    random = np.random.default_rng(1)
    pictures = films.numbered(20, channels=4)
    for pixels in pictures:
        pixels[..., 3] = random.integers(0, 256, pixels.shape[:2])
    lengths = itertools.cycle((16, 33, 100))
    instants = itertools.accumulate((Fraction(next(lengths), 1000) for _ in pictures), initial=Fraction(0))
    kind = films.Kind("webm", "libvpx-vp9", "yuva420p", encoder_options={"cpu-used": "8"}, sound="")
    path = films.write(tmp_path / "s.webm", kind, pictures, 30, list(instants))
    alpha_mode = bytes.fromhex("53c08101")  # matroska.org/technical/elements.html, AlphaMode
    data = path.read_bytes()
    assert data.count(alpha_mode) == 1
    path.write_bytes(data.replace(alpha_mode, bytes.fromhex("53c08100")))
    loaded = load(path, on_damage="fail")
    assert (loaded.count, loaded.frames.shape[3], loaded.notes) == (20, 3, ())


def test_frames_that_are_lost_with_a_failing_end_are_decoded_again(tmp_path, monkeypatch):
    path = films.write(tmp_path / "f.mov", DAMAGED["png"], noisy(COUNT), RATE)
    real = video_reader.VideoReader._decode
    tried = []

    def decode(film, packet, *rest):
        tried.append(film)
        return None if not packet.size and not film._single_threaded else real(film, packet, *rest)

    monkeypatch.setattr(video_reader.VideoReader, "_decode", decode)
    loaded = load(path)
    assert films.numbers(loaded.frames) == list(range(COUNT))
    assert len(set(map(id, tried))) == 2


@pytest.mark.parametrize("kind", ["mp4", "mkv", "webm"])
def test_a_video_with_a_variable_frame_rate_is_as_long_as_its_frames(tmp_path, kind):
    pauses = np.random.default_rng(5).uniform(0.1, 0.32, 24)
    instants = [Fraction(round(float(at) * 1000), 1000) for at in np.cumsum(pauses) - pauses[0]]
    sound = films.clicks(float(instants[-1]) + 0.2)
    row = KINDS[kind]
    path = films.write(tmp_path / f"f.{row.ending}", row, films.numbered(24), 30, instants, sound=sound)
    loaded = load(path)
    span = float(instants[-1])
    assert abs(loaded.info["source_duration"] - span * 24 / 23) < 0.25
    assert abs(loaded.count / loaded.rate - span * 24 / 23) < 0.25
    assert loaded.info["source_frame_count"] == 24
    seconds = loaded.audio["waveform"].shape[2] / loaded.audio["sample_rate"]
    assert abs(seconds - loaded.count / loaded.rate) < 0.25


@pytest.mark.parametrize("kind", KINDS)
def test_a_video_with_a_constant_frame_rate_keeps_the_one_that_it_states(film, kind):
    loaded = load(film(kind), skip_first_frames=7, select_every_nth=2)
    assert loaded.rate == Fraction(RATE, 2)
    assert (loaded.info["source_fps"], loaded.info["source_frame_count"]) == (RATE, COUNT)


def test_an_avi_whose_outer_length_is_too_large_is_whole(film, tmp_path):
    data = bytearray(film("avi").read_bytes())
    length = int.from_bytes(data[4:8], "little")
    for more in (8, 1, 1 << 20):
        data[4:8] = (length + more).to_bytes(4, "little")
        (tmp_path / "f.avi").write_bytes(data)
        assert load(tmp_path / "f.avi", on_damage="fail").count == COUNT
