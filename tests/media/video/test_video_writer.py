"""What a film becomes when it is saved: read back from the file that was written."""

from __future__ import annotations

import io
import json
import os
import sys
from fractions import Fraction
from pathlib import Path

import av
import films
import numpy as np
import pytest
import torch
from cloud_storage import errors
from cloud_storage.media import output_file
from cloud_storage.media.video import frame_sinks, frame_window, video_loader, video_plan, video_writer
from cloud_storage.media.video.video_plan import VideoFile, VideoFrames
from cloud_storage.media.workflow_metadata import Metadata
from cloud_storage.system.meter import Meter

METADATA = Metadata({"3": {"class_type": "KSampler"}}, {"workflow": {"nodes": [1, 2]}})
PLENTY = 1 << 40


def pictures(count=12, sound=2, rate=Fraction(24), channels=3, **size):
    frames = np.stack([films.picture(index, channels=channels, **size) for index in range(count)])
    audio = None
    if sound:
        tones = films.tones(sound, float(count / rate))
        audio = {"waveform": torch.from_numpy(tones)[None], "sample_rate": films.SOUND_RATE}
    return VideoFrames(torch.from_numpy(frames).float() / 255, audio, rate)


def write(folder, clip, format="auto", codec="auto", crf=-1, metadata=METADATA):
    plan = video_plan.plan(clip, format, codec, crf)
    target = folder / f"written.{plan.container.name}"
    notes = video_writer.write(plan, clip, target, metadata, Meter())
    return target, plan, notes


def load(path):
    return video_loader.load(path, "f", frame_window.Window(), frame_sinks.Tensor(), Meter(), lambda: PLENTY)


def codecs(path):
    with av.open(str(path)) as file:
        return [video_plan._codec_name(stream) for stream in file.streams]


def tags(path):
    with av.open(str(path)) as file:
        return {key.lower(): text for key, text in file.metadata.items()}


# (format, codec) -> (ending, FFmpeg's names)
WRITTEN = {
    ("auto", "auto"): ("mp4", ["h264", "aac"]),
    ("mp4", "auto"): ("mp4", ["h264", "aac"]),
    ("mp4", "h265"): ("mp4", ["hevc", "aac"]),
    ("mp4", "av1"): ("mp4", ["av1", "aac"]),
    ("webm", "auto"): ("webm", ["vp9", "opus"]),
    ("webm", "av1"): ("webm", ["av1", "opus"]),
    ("mkv", "auto"): ("mkv", ["h264", "flac"]),
    ("mkv", "vp9"): ("mkv", ["vp9", "flac"]),
    ("gif", "auto"): ("gif", ["gif"]),
    ("auto", "h265"): ("mp4", ["hevc", "aac"]),
    ("auto", "vp9"): ("webm", ["vp9", "opus"]),
}


@pytest.mark.parametrize(("format", "codec"), WRITTEN)
def test_frames_become_a_video_of_the_format_and_codec_asked_for(tmp_path, format, codec):
    path, plan, notes = write(tmp_path, pictures(), format, codec)
    ending, names = WRITTEN[format, codec]
    assert path.suffix == f".{ending}" == f".{plan.container.name}"
    assert codecs(path) == names
    loaded = load(path)
    assert films.numbers(loaded.frames) == list(range(12))
    if ending == "gif":
        assert notes == (
            "A gif has no place for the workflow: it was left out.",
            "A gif has no audio: it was left out.",
        )
    else:
        assert loaded.rate == 24
        assert films.pitches(loaded.audio["waveform"][0].numpy(), films.SOUND_RATE) == [150, 250]
        assert json.loads(tags(path)["prompt"]) == METADATA.prompt
        assert json.loads(tags(path)["workflow"]) == METADATA.extra_pnginfo["workflow"]


@pytest.mark.parametrize("format", ["mp4", "webm", "mkv"])
def test_colours_come_back_as_they_were(tmp_path, format):
    colours = torch.tensor(
        [[0.8, 0.1, 0.1], [0.1, 0.7, 0.2], [0.1, 0.2, 0.9], [0.9, 0.9, 0.9], [0.5, 0.5, 0.5]]
    )
    frames = colours.repeat_interleave(32, 0)[None, None].expand(4, 64, 160, 3)
    path, _, _ = write(tmp_path, VideoFrames(frames, None, Fraction(10)), format)
    back = load(path).frames[2][32, 16::32]
    assert (back - colours).abs().max() < 0.03


def test_an_mp4_has_its_index_in_front(tmp_path):
    path, _, _ = write(tmp_path, pictures(), "mp4")
    data = path.read_bytes()
    assert 0 < data.index(b"moov") < data.index(b"mdat")


def test_h265_is_marked_as_apples_players_want_it(tmp_path):
    path, _, _ = write(tmp_path, pictures(sound=0), "mp4", "h265")
    with av.open(str(path)) as file:
        assert file.streams.video[0].codec_context.codec_tag == "hvc1"


@pytest.mark.parametrize("format", ["mp4", "webm", "mkv", "gif"])
@pytest.mark.parametrize(("width", "height"), [(161, 96), (160, 97), (163, 99)])
def test_odd_sides_are_padded_and_nothing_is_cut(tmp_path, format, width, height):
    path, _, _ = write(tmp_path, pictures(6, width=width, height=height), format)
    frames = load(path).frames
    odd = format == "gif"
    assert frames.shape[1:3] == ((height, width) if odd else (height + height % 2, width + width % 2))
    assert films.numbers(frames[:, :height, :width]) == list(range(6))


@pytest.mark.parametrize("count", range(1, 9))
@pytest.mark.parametrize("format", ["mp4", "webm", "mkv"])
def test_a_tone_in_each_channel_survives(tmp_path, format, count):
    path, _, _ = write(tmp_path, pictures(24, sound=count), format)
    sound = load(path).audio
    expected = films.pitches(films.tones(count), films.SOUND_RATE)
    assert films.pitches(sound["waveform"][0].numpy(), sound["sample_rate"]) == expected


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 96000, 192000])
@pytest.mark.parametrize("format", ["mp4", "webm", "mkv"])
def test_audio_of_any_sample_rate_is_kept_or_resampled(tmp_path, format, rate):
    clip = pictures(24, sound=0)
    tones = films.tones(2, 1, rate)
    clip = VideoFrames(
        clip.frames, {"waveform": torch.from_numpy(tones)[None], "sample_rate": rate}, clip.rate
    )
    path, _, _ = write(tmp_path, clip, format)
    sound = load(path).audio
    assert films.pitches(sound["waveform"][0].numpy(), sound["sample_rate"]) == [150, 250]
    if format == "mkv":
        assert sound["sample_rate"] == rate


def test_video_and_audio_are_interleaved_in_the_file(tmp_path):
    path, _, _ = write(tmp_path, pictures(1000, width=64, height=48), "mp4")
    with av.open(str(path)) as file:
        places = [(packet.stream.type, packet.pos) for packet in file.demux() if packet.pos is not None]
    size = path.stat().st_size
    for fifth in range(5):
        kinds = {kind for kind, place in places if fifth <= 5 * place / size < fifth + 1}
        assert kinds == {"audio", "video"}, fifth


def test_audio_longer_than_the_frames_ends_with_them(tmp_path):
    clip = pictures(24)
    longer = {"waveform": torch.from_numpy(films.tones(2, 5))[None], "sample_rate": films.SOUND_RATE}
    path, _, _ = write(tmp_path, VideoFrames(clip.frames, longer, clip.rate), "mkv")
    with av.open(str(path)) as file:
        assert abs(file.duration / 1e6 - 1) < 0.1


def test_transparency_goes_into_webm(tmp_path):
    clip = pictures(6, channels=4)
    path, plan, notes = write(tmp_path, clip)
    assert (plan.container.name, codecs(path)[0], notes) == ("webm", "vp9", ())
    back = load(path).frames
    assert back.shape[3] == 4
    assert (back[..., 3] - clip.frames[..., 3]).abs().max() < 0.05


@pytest.mark.parametrize("format", ["mp4", "gif"])
def test_what_cannot_keep_transparency_says_so(tmp_path, format):
    _, _, notes = write(tmp_path, pictures(6, channels=4, sound=0), format, metadata=None)
    assert (notes == ()) == (format == "gif")  # a gif keeps it, all or nothing
    if notes:
        assert notes == ("h264 has no transparency here: it was left out.",)


def test_a_gif_keeps_holes(tmp_path):
    frames = torch.ones((3, 32, 32, 4))
    frames[:, :16, :, 3] = 0
    path, _, _ = write(tmp_path, VideoFrames(frames, None, Fraction(10)), "gif")
    alpha = load(path).frames[..., 3]
    assert not alpha[:, :15].any()
    assert alpha[:, 17:].all()


def test_a_gif_of_too_many_frames_a_second_leaves_some_out_and_says_so(tmp_path):
    path, _, notes = write(tmp_path, pictures(20, sound=0, rate=Fraction(100)), "gif", metadata=None)
    assert films.numbers(load(path).frames) == list(range(0, 20, 2))
    assert notes == ("A gif shows at most 50 frames a second.",)


def test_nothing_is_embedded_where_nobody_wants_it(tmp_path):
    path, _, _ = write(tmp_path, pictures(), metadata=None)
    assert not {"prompt", "workflow"} & set(tags(path))


@pytest.mark.parametrize("crf", [0, 40])
def test_a_lower_crf_is_larger_and_better(tmp_path, crf):
    generator = torch.Generator().manual_seed(1)
    noise = VideoFrames(torch.rand((6, 64, 64, 3), generator=generator), None, Fraction(10))
    usual = write(tmp_path, noise)[0].stat().st_size
    assert (write(tmp_path, noise, crf=crf)[0].stat().st_size > usual) == (crf < 19)


# ----------------------------------------------------------------------------------------- files


def recording(folder, name, **options):
    kind = films.KINDS[name]
    sound = films.tones(2, 2) if kind.sound else None
    path = films.write(folder / f"source.{kind.ending}", kind, films.numbered(50), 25, sound=sound, **options)
    return VideoFile(path)


def packets(path):
    with av.open(str(path)) as file:
        return [bytes(packet) for packet in file.demux(video=0) if packet.size]


@pytest.mark.parametrize(
    ("name", "format", "ending"),
    [
        ("mp4", "auto", "mp4"),
        ("mp4, index at its end", "mp4", "mp4"),
        ("mp4, fragmented", "auto", "mp4"),
        ("mp4", "mkv", "mkv"),
        ("mov", "auto", "mkv"),  # its PCM has no place in an mp4
        ("mkv", "auto", "mp4"),
        ("mkv", "mkv", "mkv"),
        ("webm", "auto", "webm"),
        ("webm", "mkv", "mkv"),
        ("gif", "auto", "gif"),
    ],
)
def test_a_file_is_copied_where_the_container_can_hold_it(tmp_path, name, format, ending):
    clip = recording(tmp_path, name)
    path, plan, _ = write(tmp_path, clip, format)
    assert (plan.copies, path.suffix) == (True, f".{ending}")
    assert packets(path) == packets(clip.source)
    loaded, before = load(path), load(clip.source)
    assert torch.equal(loaded.frames, before.frames)
    assert films.numbers(loaded.frames) == list(range(50))
    if ending != "gif":
        assert json.loads(tags(path)["prompt"]) == METADATA.prompt
        sound, same = loaded.audio["waveform"], before.audio["waveform"]
        assert sound.shape == same.shape
        assert films.pitches(sound[0].numpy(), films.SOUND_RATE) == [150, 250]


def test_a_transport_stream_is_copied(tmp_path):
    path, plan, _ = write(tmp_path, recording(tmp_path, "ts"))
    assert (plan.copies, path.suffix) == (True, ".mp4")
    assert films.numbers(load(path).frames) == list(range(50))


@pytest.mark.parametrize(
    ("name", "format", "codec"),
    [
        ("mp4", "webm", "auto"),
        ("webm", "mp4", "auto"),
        ("mp4", "mp4", "h265"),
        ("avi", "auto", "auto"),
        ("mp4", "gif", "auto"),
    ],
)
def test_a_file_is_encoded_where_it_cannot_be_copied(tmp_path, name, format, codec):
    clip = recording(tmp_path, name)
    path, plan, _ = write(tmp_path, clip, format, codec)
    assert not plan.copies
    loaded = load(path)
    assert films.numbers(loaded.frames) == list(range(50))
    if format != "gif":
        assert films.pitches(loaded.audio["waveform"][0].numpy(), loaded.audio["sample_rate"]) == [150, 250]


def test_a_crf_that_is_set_encodes(tmp_path):
    _, plan, _ = write(tmp_path, recording(tmp_path, "mp4"), crf=30)
    assert not plan.copies


def test_uneven_times_stay_when_a_file_is_encoded(tmp_path):
    instants = [Fraction(number * number, 50) for number in range(12)]
    source = films.write(tmp_path / "s.mkv", films.KINDS["mkv"], films.numbered(12), 25, instants)
    path, _, _ = write(tmp_path, VideoFile(source), "webm")
    with av.open(str(path)) as file:
        times = [frame.time for frame in file.decode(video=0)]
    assert np.allclose(times, [float(instant) for instant in instants], atol=0.002)


@pytest.mark.parametrize(("format", "codec"), [("mp4", "h264"), ("mp4", "av1"), ("webm", "vp9")])
def test_frames_of_the_same_time_are_all_encoded(tmp_path, format, codec):
    milliseconds = (0, 40, 80, 80, 80, 120, 160, 160, 200)
    even = films.write(
        tmp_path / "s.mkv", films.Kind("mkv", "mjpeg", "yuvj420p", sound=""), films.numbered(9), 25
    )
    source = tmp_path / "uneven.mkv"
    with av.open(str(even)) as given, av.open(str(source), "w") as file:
        stream = file.add_stream_from_template(given.streams.video[0], opaque=True)
        coming = (packet for packet in given.demux(video=0) if packet.size)
        for packet, instant in zip(coming, milliseconds, strict=True):
            packet.pts = packet.dts = instant
            packet.time_base, packet.stream = Fraction(1, 1000), stream
            file.mux(packet)
    path, _, _ = write(tmp_path, VideoFile(source), format, codec)
    assert films.numbers(load(path).frames) == list(range(9))


@pytest.mark.skipif(sys.platform != "linux", reason="SVT-AV1 takes there what root may have")
@pytest.mark.parametrize("codec", ["h264", "h265", "av1"])
def test_no_encoder_makes_a_thread_of_this_process_a_real_time_one(tmp_path, monkeypatch, codec):
    seen, mux = [], output_file.Output.mux

    def look(self, packets):
        seen.append({os.sched_getscheduler(int(thread.name)) for thread in Path("/proc/self/task").iterdir()})
        mux(self, packets)

    monkeypatch.setattr(output_file.Output, "mux", look)
    write(tmp_path, pictures(70, width=128, height=128), "mp4", codec)
    assert len(seen) > 70
    assert all(policies == {os.SCHED_OTHER} for policies in seen)


def test_audio_with_rounded_times_is_encoded_without_a_gap(tmp_path):
    """In Matroska a frame of 1024 samples at 44.1 kHz never begins at a whole millisecond; and pictures that
    are decoded at once leave no sound of earlier moments to join on to.
    """
    rate = 44_100
    kind = films.Kind("mkv", "mjpeg", "yuvj420p")
    tone = films.tones(1, 4, rate)
    source = films.write(tmp_path / "s.mkv", kind, films.numbered(100), 25, sound=tone, sound_rate=rate)
    path, _, _ = write(tmp_path, VideoFile(source), "mkv", "h264")
    heard = load(path).audio["waveform"][0, 0, rate // 2 : 3 * rate]
    # Each sample of a tone follows from the two before it.
    broken = heard[2:] - 2 * np.cos(2 * np.pi * 150 / rate) * heard[1:-1] + heard[:-2]
    assert broken.abs().max() < 0.001


@pytest.mark.parametrize("degrees", [90, 180])
@pytest.mark.parametrize("format", ["auto", "webm"])
def test_a_turned_file_stays_upright(tmp_path, degrees, format):
    lying = [np.rot90(pixels, -degrees // 90) for pixels in films.numbered(8)]
    kind = films.Kind("mp4", encoder_options={"bf": "0"})
    source = films.write(tmp_path / "s.mp4", kind, lying, 25, rotation=degrees)
    loaded = load(write(tmp_path, VideoFile(source), format)[0])
    assert loaded.frames.shape[1:3] == (films.HEIGHT, films.WIDTH)
    assert films.numbers(loaded.frames) == list(range(8))


def test_a_transparent_file_stays_so_when_copied_and_when_encoded(tmp_path):
    kind = films.Kind("webm", "libvpx-vp9", "yuva420p")
    source = films.write(
        tmp_path / "s.webm", kind, [films.picture(index, channels=4) for index in range(6)], 25
    )
    for options in ({}, {"crf": 20}):
        assert load(write(tmp_path, VideoFile(source), **options)[0]).frames.shape[3] == 4


def test_a_video_in_memory_is_saved_as_one_on_disk(tmp_path):
    clip = recording(tmp_path, "mp4")
    path, plan, _ = write(tmp_path, VideoFile(io.BytesIO(clip.source.read_bytes())))
    assert plan.copies
    assert films.numbers(load(path).frames) == list(range(50))


def test_the_workflow_of_a_file_gives_way_to_the_present_one_or_goes(tmp_path):
    first, _, _ = write(
        tmp_path, pictures(), metadata=Metadata({"old": {}}, {"workflow": {"old": 1}, "more": 1})
    )
    kept = Path(first).rename(tmp_path / "first.mp4")
    second, _, _ = write(tmp_path, VideoFile(kept))
    assert json.loads(tags(second)["prompt"]) == METADATA.prompt
    third, _, _ = write(tmp_path, VideoFile(kept), metadata=None)
    assert not {"prompt", "workflow"} & set(tags(third))


# -------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("format", "codec", "crf", "words"),
    [
        ("webm", "h264", -1, "webm file cannot contain h264.*mp4 or mkv"),
        ("gif", "h264", -1, "gif file cannot contain h264"),
        ("mp4", "vp9", -1, "mp4 file cannot contain vp9.*webm or mkv"),
        ("mp4", "h264", 52, "from 0 to 51"),
        ("mp4", "h264", -2, "from 0 to 51"),
        ("avi", "auto", -1, "unknown.*mp4"),
        ("mp4", "theora", -1, "unknown"),
    ],
)
def test_what_does_not_go_together_is_refused_before_anything_is_written(tmp_path, format, codec, crf, words):
    with pytest.raises(errors.MediaError, match=words):
        write(tmp_path, pictures(), format, codec, crf)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("codec", "least"), [("h264", 2), ("h265", 64), ("vp9", 2), ("av1", 16)], ids=str)
def test_frames_smaller_than_a_codec_accepts_are_refused_before_it_begins(tmp_path, codec, least):
    def small(width, height):
        return VideoFrames(torch.rand((3, height, width, 3)), None, Fraction(10))

    path, _, _ = write(tmp_path, small(least, least), "auto", codec)
    assert load(path).frames.shape[1:3] == (least, least)
    path.unlink()
    for width, height in ((least - 2, 200), (200, least - 2)):
        if least > 2:
            with pytest.raises(errors.MediaError, match=f"at least {least} pixels.*h264"):
                write(tmp_path, small(width, height), "auto", codec)
    assert not list(tmp_path.iterdir())


def test_a_small_file_is_not_encoded_in_place_of_a_copy_either(tmp_path):
    source = films.write(tmp_path / "s.mkv", films.KINDS["mkv"], films.numbered(3, width=32, height=32), 25)
    assert write(tmp_path, VideoFile(source))[1].copies
    with pytest.raises(errors.MediaError, match="at least 64 pixels"):
        write(tmp_path, VideoFile(source), "mp4", "h265")


@pytest.mark.parametrize("shape", [(0, 8, 8, 3), (1, 8, 8, 2), (8, 8, 3)])
def test_what_are_no_frames_is_refused(tmp_path, shape):
    with pytest.raises(errors.MediaError, match="are not a video"):
        write(tmp_path, VideoFrames(torch.zeros(shape), None, Fraction(10)))


def test_more_channels_than_a_video_can_have_are_refused(tmp_path):
    with pytest.raises(errors.MediaError, match=r"9 channels.*at most 8 channels"):
        write(tmp_path, pictures(sound=9), "mp4")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["mp4", "copied"])
def test_a_stopped_meter_ends_it_and_leaves_no_file(tmp_path, name):
    meter = Meter()
    clip = recording(tmp_path, "mp4") if name == "copied" else pictures(40)
    plan = video_plan.plan(clip, "mp4", "auto")

    class Stopping(Meter):
        def add_frames(self, count):
            super().add_frames(count)
            if self.frames_done == 5:
                self.stop()

    meter = Stopping()
    target = tmp_path / "target.mp4"
    with pytest.raises(errors.TransferCancelled):
        video_writer.write(plan, clip, target, None, meter)
    assert meter.frames_done == 5
    assert not target.exists()


def test_a_full_disk_is_an_error_and_leaves_no_file(tmp_path):
    target = Path("/dev/full")
    if not target.exists():
        pytest.skip("There is no /dev/full on this system.")
    link = tmp_path / "f.mkv"
    link.symlink_to(target)
    plan = video_plan.plan(pictures(), "mkv", "auto")
    with pytest.raises(errors.MediaError, match=r"as mkv.*No space left on device.*Free room on the disk"):
        video_writer.write(plan, pictures(), link, None, Meter())
    assert not link.is_symlink()


@pytest.mark.parametrize("copies", [True, False])
@pytest.mark.parametrize(("name", "ending"), [("mp4", "mp4"), ("mkv", "mkv"), ("webm", "webm")])
def test_a_disk_that_is_full_is_not_told_as_a_damaged_file(tmp_path, name, ending, copies):
    clip = recording(tmp_path, name)
    plan = video_plan.plan(clip, ending, "auto", -1 if copies else 40)
    assert plan.copies == copies
    link = tmp_path / f"f.{ending}"
    link.symlink_to("/dev/full")
    with pytest.raises(errors.MediaError, match=r"No space left on device.*Free room on the disk"):
        video_writer.write(plan, clip, link, None, Meter())
    assert not link.is_symlink()


def test_a_damaged_video_that_is_encoded_says_what_was_damaged_and_keeps_its_other_frames(tmp_path):
    kind = films.Kind("mov", "png", "rgb24")
    source = films.write(tmp_path / "s.mov", kind, films.numbered(20), 25)
    data = bytearray(source.read_bytes())
    second = data.index(b"\x89PNG", data.index(b"\x89PNG") + 1)
    data[second + 60 : second + 90] = bytes(30)
    source.write_bytes(data)
    path, _, notes = write(tmp_path, VideoFile(source), "webm")
    assert any("could not be decoded" in note or "Damaged" in note for note in notes), notes
    assert set(films.numbers(load(path).frames)) >= set(range(20)) - {1}
