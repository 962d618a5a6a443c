"""The video and sound nodes in a bucket of each backend, from tensors to tensors."""

from __future__ import annotations

import io
import random
from fractions import Fraction
from pathlib import Path, PurePosixPath
from urllib.parse import parse_qsl

import films
import numpy as np
import pytest
import torch
from cloud_storage import errors, nodes_load
from cloud_storage.comfyui import progress, results
from cloud_storage.loading import is_changed
from cloud_storage.media import memory_budget
from cloud_storage.media.video import video_writer
from cloud_storage.storage.base import PutOptions
from cloud_storage.system.meter import Meter
from comfy import cli_args, model_management, utils
from comfy_api.input_impl import VideoFromComponents, VideoFromFile
from comfy_api.util import VideoComponents
from comfy_execution.graph import ExecutionBlocker
from conftest import outputs_of, run_node
from films import KINDS

PROMPT = {"3": {"class_type": "KSampler", "inputs": {"seed": 42}}}
WORKFLOW = {"workflow": {"nodes": []}}


@pytest.fixture(autouse=True)
def _forgotten(monkeypatch):
    monkeypatch.setattr(is_changed, "_memories", {})


def video(count=12, sound=2, rate=24, **options):
    frames = np.stack([films.picture(index, **options) for index in range(count)])
    audio = None
    if sound:
        tones = films.tones(sound, count / rate)
        audio = {"waveform": torch.from_numpy(tones)[None], "sample_rate": films.SOUND_RATE}
    frames = torch.from_numpy(frames).float() / 255
    return VideoFromComponents(VideoComponents(frames, Fraction(rate), audio))


def put_film(cloud, tmp_path, name="mp4", count=50, key="film.mp4", **options):
    kind = KINDS[name]
    sound = films.clicks(count / 25) if kind.sound else None
    path = films.write(tmp_path / f"f.{kind.ending}", kind, films.numbered(count), 25, sound=sound, **options)
    cloud.put(key, path.read_bytes(), PutOptions(), Meter())
    return path


def load(key="film.mp4", **inputs):
    return run_node("LoadVideoFromCloud", key=key, **inputs)["result"]


# ------------------------------------------------------------------------------------------- save


def test_a_video_goes_into_the_bucket_and_comes_back(cloud):
    saved = run_node("SaveVideoToCloud", video=video(), unique_id="5", prompt=PROMPT, extra_pnginfo=WORKFLOW)
    urls, keys, passed = saved["result"]
    assert keys == ["comfyui/videos/ComfyUI_00001.mp4"]
    assert urls == cloud.url(keys[0])
    assert isinstance(passed, VideoFromComponents)
    assert cloud.stat(keys[0]).content_type == "video/mp4"
    frames, count, audio, info, _ = load(keys[0])
    assert (films.numbers(frames), count) == (list(range(12)), 12)
    assert films.pitches(audio["waveform"][0].numpy(), audio["sample_rate"]) == [150, 250]
    assert info["source_fps"] == 24


@pytest.mark.parametrize("rate", [29.97, Fraction(29.97), Fraction(30000, 1001)])
@pytest.mark.parametrize("format", ["mp4", "webm", "mkv", "gif"])
def test_a_rate_that_is_no_round_number_is_saved(cloud, rate, format):
    clip = video(6)
    clip._components.frame_rate = rate
    (key,) = run_node("SaveVideoToCloud", video=clip, format=format)["result"][1]
    if format == "mp4":
        assert load(key)[3]["source_fps"] == float(Fraction(30000, 1001))
    assert films.numbers(load(key)[0]) == list(range(6))


@pytest.mark.parametrize("rate", [0, Fraction(0), -24, float("nan"), 1e6])
def test_a_rate_that_is_none_is_refused_in_words(cloud, rate):
    clip = video(6)
    clip._components.frame_rate = rate
    with pytest.raises(errors.MediaError, match="Set the frame rate"):
        run_node("SaveVideoToCloud", video=clip)
    assert list(cloud.list()) == []


@pytest.mark.parametrize(
    ("format", "content_type"), [("webm", "video/webm"), ("mkv", "video/x-matroska"), ("gif", "image/gif")]
)
def test_the_key_and_type_are_those_of_the_file(cloud, format, content_type):
    saved = run_node(
        "SaveVideoToCloud", video=video(4), format=format, filename="v", key_prefix="%width%x%height%"
    )
    (key,) = saved["result"][1]
    assert key == f"160x96/v.{format}"
    assert cloud.stat(key).content_type == content_type


def test_a_file_is_uploaded_as_its_own_kind(cloud, tmp_path):
    path = films.write(tmp_path / "x.webm", KINDS["webm"], films.numbered(10), 25)
    for source in (str(path), io.BytesIO(path.read_bytes())):
        saved = run_node("SaveVideoToCloud", video=VideoFromFile(source), filename="v")
        assert saved["result"][1][0].endswith(".webm")
        assert films.numbers(load(saved["result"][1][0])[0]) == list(range(10))


@pytest.mark.parametrize("if_exists", ["skip", "fail"])
def test_a_video_whose_name_is_taken_is_not_encoded(cloud, monkeypatch, if_exists):
    def save():
        return run_node("SaveVideoToCloud", video=video(4), filename="v", if_exists=if_exists)

    (key,) = save()["result"][1]
    etag = cloud.stat(key).etag
    monkeypatch.setattr(video_writer, "write", None)
    if if_exists == "skip":
        saved = save()
        assert saved["result"][:2] == (cloud.url(key), [key])
        assert saved["ui"]["cloud_storage"][0] == f"There already, and not sent: {key}."
    else:
        with pytest.raises(errors.AlreadyExists, match="if_exists"):
            save()
    assert cloud.stat(key).etag == etag


def test_a_video_is_kept_where_nobody_can_look_whether_its_name_is_taken(cloud, proxy, monkeypatch):
    monkeypatch.setenv("COMFY_S3_ENDPOINT_URL", proxy.url)
    proxy.refuse()
    with pytest.raises(errors.Unreachable, match="copy is kept on this computer"):
        run_node("SaveVideoToCloud", video=video(4), filename="v", if_exists="skip")
    proxy.resume()
    assert run_node("RetryPendingUploads")["result"][:2] == (1, 0)
    assert [info.key for info in cloud.list("")] == ["comfyui/videos/v.mp4"]


def test_a_cut_of_a_file_is_what_the_core_makes_of_it(cloud, tmp_path):
    path = films.write(tmp_path / "x.mp4", KINDS["mp4"], films.numbered(10), 25)
    cut = VideoFromFile(str(path), start_time=0.2)
    (key,) = run_node("SaveVideoToCloud", video=cut)["result"][1]
    assert cut.saved_to.suffix == ".mp4"
    assert not cut.saved_to.exists()
    assert load(key)[1] == 10


def shown(saved, tmp_path):
    (entry,) = saved["ui"].get("images") or saved["ui"]["audio"]
    return tmp_path / entry["type"] / entry["subfolder"] / entry["filename"]


@pytest.mark.parametrize("format", ["mp4", "webm", "gif"])
def test_the_node_plays_what_it_stored(cloud, tmp_path, format):
    saved = run_node("SaveVideoToCloud", video=video(4), format=format)
    key = saved["result"][1][0]
    assert shown(saved, tmp_path).read_bytes() == cloud.read(key)
    assert shown(saved, tmp_path).name == PurePosixPath(key).name, "what the page saves it as"
    assert saved["ui"].get("animated") == (None if format == "gif" else (True,))


def test_the_node_plays_an_mkv_as_an_mp4(cloud, tmp_path):
    saved = run_node("SaveVideoToCloud", video=video(4), format="mkv")
    assert shown(saved, tmp_path).name == PurePosixPath(saved["result"][1][0]).with_suffix(".mp4").name
    assert len(list(shown(saved, tmp_path).parent.iterdir())) == 1


def test_the_workflow_is_inside_unless_somebody_says_no(cloud, monkeypatch):
    def inside(**inputs):
        saved = run_node("SaveVideoToCloud", video=video(4), prompt=PROMPT, extra_pnginfo=WORKFLOW, **inputs)
        return b"KSampler" in cloud.read(saved["result"][1][0])

    assert inside()
    assert not inside(embed_workflow=False)
    monkeypatch.setattr(cli_args.args, "disable_metadata", True)
    assert not inside()


def test_frames_are_drawn_on_the_node_while_they_are_encoded(cloud, comfyui, monkeypatch):
    monkeypatch.setattr(progress, "DRAW_SECONDS", 0)
    run_node("SaveVideoToCloud", video=video(200, sound=0, width=640, height=480), unique_id="7")
    texts = [text for text, node_id, _ in comfyui.texts if node_id == "7"]
    assert any(text.startswith("Encoded ") and text.endswith(" of 200 frames") for text in texts), texts
    assert texts[-1].startswith("Saved comfyui/videos/ComfyUI_00001.mp4")


def stop_after(monkeypatch, frames):
    """Press Cancel once so many frames are done."""
    real = Meter.add_frames

    def add_frames(self, count):
        real(self, count)
        if self.frames_done == frames:
            model_management.interrupt_current_processing()

    monkeypatch.setattr(Meter, "add_frames", add_frames)


def test_cancel_ends_an_encoding_and_leaves_nothing(cloud, tmp_path, monkeypatch):
    stop_after(monkeypatch, 3)
    with pytest.raises(model_management.InterruptProcessingException):
        run_node("SaveVideoToCloud", video=video(60, width=1280, height=720))
    assert list(cloud.list()) == []
    assert not list((tmp_path / "temp").rglob("*.mp4"))


def test_what_cannot_be_encoded_fails_before_anything_is_stored(cloud):
    with pytest.raises(errors.MediaError, match="webm file cannot contain h264"):
        run_node("SaveVideoToCloud", video=video(4), format="webm", codec="h264")
    with pytest.raises(errors.MediaError, match="Connect a VIDEO"):
        run_node("SaveVideoToCloud", video=None)
    assert list(cloud.list()) == []


# ------------------------------------------------------------------------------------------- load


@pytest.mark.parametrize("name", KINDS)
def test_windows_of_every_kind_come_from_the_bucket(cloud, tmp_path, name):
    put_film(cloud, tmp_path, name)
    assert films.numbers(load()[0]) == list(range(50))
    picked = load(skip_first_frames=31, select_every_nth=3, frame_load_cap=5)
    assert films.numbers(picked[0]) == [31, 34, 37, 40, 43]
    assert films.numbers(load(force_rate=10, skip_first_frames=12)[0]) == [30, 33, 35, 38, 40, 43, 45, 48]


@pytest.fixture
def moved(monkeypatch):
    """How many bytes each read of a bucket brings."""
    counts = []
    real = Meter.add

    def add(self, count):
        if self._whole is None:
            counts.append(count)
        real(self, count)

    monkeypatch.setattr(Meter, "add", add)
    return counts


def test_a_few_frames_of_a_long_film_move_a_small_part_of_it(cloud, tmp_path, moved):
    noise = np.random.default_rng(1)
    frames = [noise.integers(0, 255, (96, 160, 3), dtype=np.uint8) for _ in range(250)]
    for name, key in (("mp4", "front.mp4"), ("mp4, index at its end", "back.mp4")):
        path = films.write(tmp_path / key, KINDS[name], frames, 25)
        cloud.put(key, path.read_bytes(), PutOptions(), Meter())
        for skip in (0, 120) if films.HAS_INDEX else (0,):
            moved.clear()
            assert load(key, frame_load_cap=3, skip_first_frames=skip)[1] == 3
            assert 0 < sum(moved) < path.stat().st_size / 5


def test_a_sound_track_that_ends_early_does_not_make_a_window_move_the_whole_film(cloud, tmp_path, moved):
    noise = np.random.default_rng(1)
    frames = [noise.integers(0, 255, (96, 160, 3), dtype=np.uint8) for _ in range(250)]
    sound = films.clicks(0.5)
    path = films.write(tmp_path / "f.mp4", KINDS["mp4"], frames, 2, sound=sound)  # 125 s
    cloud.put("f.mp4", path.read_bytes(), PutOptions(), Meter())
    moved.clear()
    _, count, audio, *_ = load("f.mp4", frame_load_cap=8)
    assert count == 8
    assert audio["waveform"].shape[-1] == 4 * audio["sample_rate"]
    assert audio["waveform"].any()
    assert sum(moved) < path.stat().st_size / 2


def test_the_video_output_is_what_was_loaded(cloud, tmp_path):
    put_film(cloud, tmp_path)
    frames, _, audio, _, video = load(frame_load_cap=7, force_rate=10)
    parts = video.get_components()
    assert torch.equal(parts.images, frames)
    assert parts.frame_rate == 10
    assert parts.audio is audio


def test_a_film_without_sound_gives_silence_and_a_video_without(cloud, tmp_path):
    put_film(cloud, tmp_path, "gif", key="x.gif")
    _, _, audio, _, video = load("x.gif")
    assert not audio["waveform"].any()
    assert video.get_components().audio is None


def test_with_a_vae_the_first_output_is_a_latent_and_there_is_no_video(cloud, tmp_path):
    class Vae:
        latent_dim = 2

        def __init__(self):
            with torch.inference_mode():  # as ComfyUI builds a model, whose node then works in a thread
                self.layer = torch.nn.Conv2d(3, 3, 1)

        def spacial_compression_encode(self):
            return 8

        def encode(self, pixels):
            return self.layer(pixels[:, ::8, ::8].movedim(-1, 1))

    put_film(cloud, tmp_path)
    latent, count, _, info, video = load(vae=Vae(), frame_load_cap=9)
    assert latent["samples"].shape == (9, 3, 12, 20)
    assert (count, info["loaded_frame_count"]) == (9, 9)
    assert isinstance(video, ExecutionBlocker)
    assert "vae" in video.message


def test_the_node_says_that_the_video_output_has_no_transparency(cloud):
    for channels in (3, 4):
        frames = VideoComponents(images=torch.rand((3, 32, 32, channels)), audio=None, frame_rate=Fraction(8))
        _, keys, _ = outputs_of("SaveVideoToCloud", video=VideoFromComponents(frames))
        loaded = run_node("LoadVideoFromCloud", key=keys[0])
        assert loaded["result"][0].shape[-1] == channels
        says_so = "The transparency is in images only: video has none." in loaded["ui"][results.LINES]
        assert says_so == (channels == 4)


def test_the_node_shows_a_moving_picture_of_the_frames(cloud, tmp_path):
    from PIL import Image

    put_film(cloud, tmp_path)
    result = run_node("LoadVideoFromCloud", key="film.mp4")
    (pictured,) = result["ui"][nodes_load.PICTURES]
    told = dict(parse_qsl(pictured))
    assert (told["width"], told["height"], told["frames"]) == ("160", "96", "50")
    with Image.open(tmp_path / told["type"] / told["subfolder"] / told["filename"]) as moving:
        assert (moving.format, moving.size, moving.n_frames) == ("WEBP", (160, 96), 13)


def test_frames_and_bytes_are_drawn_on_the_node_while_they_are_loaded(cloud, tmp_path, comfyui, monkeypatch):
    monkeypatch.setattr(progress, "DRAW_SECONDS", 0)
    put_film(cloud, tmp_path, count=400)
    load(unique_id="7", custom_width=640)
    texts = [text for text, node_id, _ in comfyui.texts if node_id == "7"]
    assert any("of 400 frames, " in text and text.startswith("Loaded ") for text in texts), texts
    assert all(node_id == "7" and value <= total for node_id, value, total in utils.drawn)


def test_cancel_ends_a_load(cloud, tmp_path, monkeypatch):
    put_film(cloud, tmp_path, count=400)
    stop_after(monkeypatch, 5)
    with pytest.raises(model_management.InterruptProcessingException):
        load(custom_width=1280)


def test_a_load_that_does_not_fit_is_refused_with_what_would(cloud, tmp_path, monkeypatch):
    put_film(cloud, tmp_path)
    monkeypatch.setattr(model_management, "free_bytes", memory_budget.SPARE_BYTES + 10 * 160 * 96 * 12)
    with pytest.raises(errors.MediaError, match="frame_load_cap to 10 or less"):
        load()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"<!DOCTYPE html><html>Password:</html>", "HTML"),
        (b"\x89PNG\r\n\x1a\n and so on", "PNG"),
        (random.Random(0).randbytes(100_000), "unknown"),  # one such file of a hundred is a film to FFmpeg
    ],
)
@pytest.mark.parametrize("node", ["LoadVideoFromCloud", "LoadAudioFromCloud"])
def test_what_is_no_film_is_named(cloud, data, words, node):
    cloud.put("film.mp4", data, PutOptions(), Meter())
    with pytest.raises(errors.MediaError, match=words) as raised:
        run_node(node, key="film.mp4")
    assert "film.mp4" in str(raised.value)


def test_a_film_that_is_cut_off_is_loaded_as_far_as_it_goes_or_refused_as_the_user_wants(cloud, tmp_path):
    for name in ("mp4", "mkv"):
        data = put_film(cloud, tmp_path, name).read_bytes()
        cut = data[: len(data) * 7 // 10]
        cloud.put("film.mp4", cut, PutOptions(), Meter())
        loaded = run_node("LoadVideoFromCloud", key="film.mp4")
        assert 0 < loaded["result"][1] < 50
        assert any("The file is cut off after " in line for line in loaded["ui"]["cloud_storage"])
        said = r"(cut off|not be decoded).*Upload the file again, or set on_damage"
        with pytest.raises(errors.MediaError, match=said):
            load(on_damage="fail")
    for film in (cut, data):
        cloud.put("film.mp4", film, PutOptions(), Meter())
        lines = run_node("LoadAudioFromCloud", key="film.mp4")["ui"]["cloud_storage"]
        assert any("cut off after " in line for line in lines) == (film is cut)


def test_a_film_whose_index_is_missing_is_told(cloud, tmp_path):
    path = put_film(cloud, tmp_path, "mp4, index at its end")
    cloud.put("film.mp4", path.read_bytes()[:-9000], PutOptions(), Meter())
    with pytest.raises(errors.MediaError, match="cut off"):
        load()


def test_a_film_cannot_name_another_file_or_address(cloud, tmp_path):
    secret = tmp_path / "secret.mp4"
    films.write(secret, KINDS["mp4"], films.numbered(5), 25)
    for text in (
        f"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nfile://{secret}\n#EXT-X-ENDLIST\n",
        f"ffconcat version 1.0\nfile '{secret}'\n",
        f"v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=video 1 RTP/AVP 96\n{secret}",
    ):
        cloud.put("film.mp4", text.encode(), PutOptions(), Meter())
        with pytest.raises(errors.MediaError):
            load()


def test_a_missing_film_is_named(cloud):
    with pytest.raises(errors.NotFound, match="gone"):
        load("gone.mp4")


def test_is_changed_follows_the_object(cloud, tmp_path, comfyui):
    prompt = {"4": {"class_type": "LoadVideoFromCloud", "inputs": {"key": "film.mp4"}}}
    comfyui.prompt_queue.currently_running[0] = (0, "id", prompt, {}, [])
    for node in (nodes_load.LoadVideoFromCloud, nodes_load.LoadAudioFromCloud):
        put_film(cloud, tmp_path)
        first = node.IS_CHANGED(key="film.mp4", unique_id="4")
        load(unique_id="4")
        assert node.IS_CHANGED(key="film.mp4", unique_id="4") == first
        put_film(cloud, tmp_path, count=20)
        assert node.IS_CHANGED(key="film.mp4", unique_id="4") != first


def test_an_object_replaced_while_it_is_loaded_is_an_error(cloud, tmp_path, monkeypatch):
    noise = np.random.default_rng(1)
    frames = [noise.integers(0, 255, (96, 160, 3), dtype=np.uint8) for _ in range(200)]
    path = films.write(tmp_path / "f.mp4", KINDS["mp4"], frames, 25)
    cloud.put("film.mp4", path.read_bytes(), PutOptions(), Meter())
    real = Meter.add_frames

    def add_frames(self, count):
        real(self, count)
        if self.frames_done == 2:
            cloud.put("film.mp4", path.read_bytes() + b"more", PutOptions(), Meter())

    monkeypatch.setattr(Meter, "add_frames", add_frames)
    with pytest.raises(errors.Changed):
        load()


# ------------------------------------------------------------------------------------------ sound


@pytest.mark.parametrize("format", ["flac", "mp3", "wav", "opus"])
def test_every_clip_of_a_batch_becomes_an_object(cloud, tmp_path, format):
    clips = np.stack([films.tones(2), np.roll(films.tones(2), 1, 0)])
    audio = {"waveform": torch.from_numpy(clips), "sample_rate": films.SOUND_RATE}
    saved = run_node("SaveAudioToCloud", audio=audio, format=format)
    urls, keys, passed = saved["result"]
    assert passed is audio
    assert keys == [f"comfyui/audio/ComfyUI_{number:05d}.{format}" for number in (1, 2)]
    assert urls == ";".join(map(cloud.url, keys))
    assert cloud.stat(keys[0]).content_type.startswith("audio/")
    for key, tones, entry in zip(keys, ([150, 250], [250, 150]), saved["ui"]["audio"], strict=True):
        (back,) = outputs_of("LoadAudioFromCloud", key=key)
        assert films.pitches(back["waveform"][0].numpy(), back["sample_rate"]) == tones
        path = tmp_path / entry["type"] / entry["subfolder"] / entry["filename"]
        assert path.read_bytes() == cloud.read(key)
        assert path.name == PurePosixPath(key).name


def test_the_sound_of_a_film_is_loaded_by_itself(cloud, tmp_path):
    put_film(cloud, tmp_path)
    (audio,) = outputs_of("LoadAudioFromCloud", key="film.mp4", start_seconds=0.7, duration_seconds=1)
    assert audio["waveform"].shape == (1, 2, 48_000)
    assert np.allclose(films.click_times(audio["waveform"][0].numpy(), 48_000), [0.3, 0.8], atol=0.03)


def test_no_sound_is_an_error_of_its_own(cloud):
    with pytest.raises(errors.MediaError, match="there is no audio"):
        run_node("SaveAudioToCloud", audio=None)
    assert list(cloud.list()) == []


def test_previews_are_all_that_is_left_in_temp(cloud, tmp_path):
    audio = {"waveform": torch.from_numpy(films.tones(2))[None], "sample_rate": films.SOUND_RATE}
    run_node("SaveAudioToCloud", audio=audio)
    run_node("SaveVideoToCloud", video=video(4))
    left = [path for path in Path(tmp_path, "temp", "cloud_storage").rglob("*") if path.is_file()]
    assert sorted(path.suffix for path in left) == [".flac", ".mp4"]
