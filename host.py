"""The only door to ComfyUI: folders, progress, interrupt, the running prompt, previews.

Every import of ComfyUI's own modules stands inside a function, so this package can be imported without
ComfyUI. Both cores are served, 0.3.64 and 0.33; where they differ, a comment says so.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import shutil
import sys
import time
import uuid
import weakref
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import status_text
from .amounts import Rate, in_bytes
from .errors import DISK_ADVICE, MediaError, disk_told, sentence
from .media_audio import clips
from .media_video import Clip, Pictures, Recording, frame_rate
from .meter import Counted, Meter, counted
from .node_lines import Line, file_name, for_page
from .pixels import is_batch
from .profiles_file import FILE_NAME

if TYPE_CHECKING:
    import torch


PREVIEW_FOLDER = "cloud_storage"
OUTBOX_FOLDER = "outbox"
EARLIER_OUTBOX_FOLDER = "cloud_storage_outbox"  # in output, where what waits was kept before
TEMP = "ComfyUI's temp folder"
LINES = "cloud_storage"  # what web/cloud_storage.js looks for in a node's ``ui``
DRAW_SECONDS = 0.2  # between two drawings of one node: core 0.3.64 does not throttle, the browser would choke


# ------------------------------------------------------------ folders


def system_folder() -> Path:
    """``user/__cloud_storage``: settings of the server. Core 0.33 serves no such folder over HTTP."""
    import folder_paths

    return Path(folder_paths.get_user_directory()) / "__cloud_storage"


def profiles_file() -> Path:
    """Where profiles.json lies, whether it is there or not."""
    return system_folder() / FILE_NAME


def outbox_folder() -> Path:
    """Where files wait that could not be sent, whether it is there or not.

    Beside profiles.json, where no route of ComfyUI writes: what lies there is sent without a question.
    """
    return system_folder() / OUTBOX_FOLDER


def earlier_outbox_folder() -> Path:
    """Where earlier versions kept such files, whether it is there or not: below ComfyUI's output folder, into
    which its ``/upload/image`` writes for whoever asks.
    """
    import folder_paths

    return Path(folder_paths.get_output_directory()) / EARLIER_OUTBOX_FOLDER


def temp_folder() -> Path:
    """Our folder below ComfyUI's temp folder, made where missing; ComfyUI empties temp when it starts. Raises
    StorageError where the disk does not allow it.
    """
    import folder_paths

    folder = Path(folder_paths.get_temp_directory()) / PREVIEW_FOLDER
    with disk_told("write a file", TEMP, DISK_ADVICE):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def new_preview(extension: str) -> Path:
    """A path where the browser can fetch a file from; there is none yet. ``preview`` describes it."""
    return temp_folder() / f"{uuid.uuid4().hex}.{extension}"


def preview(source: bytes | Path, extension: str, key: str = "") -> dict[str, str]:
    """A file as a node's ``ui`` describes it to the browser: bytes, or a file in ``temp_folder``, which is
    moved. It is called as the object ``key`` is: that is what the browser saves it as.

    Raises StorageError where the disk does not take it, and leaves none.
    """
    folder = temp_folder() / uuid.uuid4().hex[:16]
    path = folder / file_name(key, extension.removeprefix("."))
    with disk_told("write a preview", TEMP, DISK_ADVICE):
        folder.mkdir()
        try:
            if isinstance(source, bytes):
                path.write_bytes(source)
            else:
                source.rename(path)
        except OSError:
            shutil.rmtree(folder, ignore_errors=True)
            raise
    return {"filename": path.name, "subfolder": f"{PREVIEW_FOLDER}/{folder.name}", "type": "temp"}


def player(shown: list[dict[str, str]]) -> dict[str, Any]:
    """``ui`` for films of ``preview``: drawn as a player, a GIF as the picture that it is."""
    animated = not any(film["filename"].endswith(".gif") for film in shown)
    return {"images": shown, "animated": (True,)} if animated else {"images": shown}


def shown(result: tuple[Any, ...], lines: Sequence[Line | str], **previews: Sequence[Any]) -> dict[str, Any]:
    """What a node returns: its outputs, and the lines that our part of the browser shows on it (``web/``).

    A line that is an address becomes a link. ComfyUI keeps what is shown in its history, in memory until it
    ends: so an address that is signed is among the lines only where the user asked for one. Every result of
    a node has to name the same ``previews``, or ComfyUI cannot merge those of several runs.
    """
    return {"ui": {LINES: for_page(lines), **previews}, "result": result}


def image_reader(path: Path) -> Callable[[Any], Any] | None:
    """How ComfyUI's Load Image decodes this file where it does not use Pillow (core 0.33: FFmpeg), or None.

    The reader takes the file as a container of PyAV and gives ``images`` and ``alpha``.
    """
    import nodes

    if "VideoFromFile" not in nodes.LoadImage.load_image.__code__.co_names:
        return None
    from comfy_api.latest import InputImpl

    reader: Callable[[Any], Any] | None
    reader = getattr(InputImpl.VideoFromFile(str(path)), "get_components_internal", None)
    return reader


@contextlib.contextmanager
def video_clip(video: Any) -> Iterator[Clip]:  # noqa: ANN401  ComfyUI's VIDEO, of the core or of another package
    """What a VIDEO is made of: the file behind it where it has one, else its frames and sound.

    A cut of a file (core 0.33) is what the core itself writes of it, a file that is removed in the end.
    """
    from comfy_api.input_impl import VideoFromFile

    if video is None or not hasattr(video, "get_components"):
        raise MediaError(
            sentence("save the video", "its input", "there is none", "Wire a VIDEO to the node.")
        )
    if not isinstance(video, VideoFromFile):
        parts = video.get_components()
        if not is_batch(getattr(parts, "images", None)):
            said = "it has no frames of height x width x channels"
            raise MediaError(sentence("save the video", "its input", said, "Wire a VIDEO to the node."))
        sound, rate = getattr(parts, "audio", None), getattr(parts, "frame_rate", None)
        yield Pictures(parts.images, _sound_of(sound), frame_rate(rate))
    elif any(getattr(video, "get_active_trim_window", tuple)()):
        path = new_preview("mp4" if "mp4" in video.get_container_format() else "mkv")
        try:
            video.save_to(str(path))
            yield Recording(path)
        finally:
            path.unlink(missing_ok=True)
    else:
        source = video.get_stream_source()
        # Of bytes, a reader of our own: other nodes may read the same ones meanwhile.
        yield Recording(Path(source) if isinstance(source, str) else io.BytesIO(source.getvalue()))


def _sound_of(audio: Any) -> dict[str, Any] | None:  # noqa: ANN401
    """The AUDIO of a VIDEO, its first clip; None where it has none or an empty one."""
    if audio is None or (isinstance(audio, Mapping) and 0 in getattr(audio.get("waveform"), "shape", ())):
        return None
    waveform, rate = clips(audio)
    return {"waveform": waveform, "sample_rate": rate}


def video_of(frames: torch.Tensor, sound: dict[str, Any] | None, rate: Fraction) -> Any:  # noqa: ANN401
    """A VIDEO of frames [B, H, W, 3], AUDIO and frames a second."""
    from comfy_api.input_impl import VideoFromComponents
    from comfy_api.util import VideoComponents

    return VideoFromComponents(VideoComponents(images=frames, audio=sound, frame_rate=rate))


def blocked(reason: str) -> Any:  # noqa: ANN401
    """An output that there is none of: nodes that use it do not run, and ``reason`` is shown on them."""
    from comfy_execution.graph import ExecutionBlocker

    return ExecutionBlocker(reason)


def free_memory() -> int:
    """How many bytes of main memory are free."""
    import torch
    from comfy.model_management import get_free_memory

    return int(get_free_memory(torch.device("cpu")))


def metadata_disabled() -> bool:
    """Whether ComfyUI was started with ``--disable-metadata``."""
    from comfy.cli_args import args

    return bool(args.disable_metadata)


# ------------------------------------------------------------ progress and cancel


class _Calls:
    """What the calls of one node share while one of them is under way: all their meters, what is drawn."""

    def __init__(self) -> None:
        self.meters: set[Meter] = set()
        self.looked_at, self.drawn = float("-inf"), (0, 0)  # never yet: the clock may begin at 0
        self.rate = Rate()


# By node, and by event loop: each prompt has its own. A call that failed may live on in its exception.
_under_way: weakref.WeakValueDictionary[object, _Calls] = weakref.WeakValueDictionary()


class Progress:
    """A bar and a line of text on one node; make it and call it with the meter in the node's own coroutine.

    Both tell frames while there are frames still to come, else bytes, summed up over all calls of the node
    that are under way, as for a list. One that ends stays in the sum until the last one has: so the bar goes
    back only when there is more to do than was known. Cancel makes each call raise ComfyUI's own exception.
    """

    def __init__(self, node_id: str | None, verb: str | Callable[[], str], frames_verb: str = "") -> None:
        self._node_id, self._verb, self._frames_verb = node_id, verb, frames_verb
        self._calls = _under_way.setdefault((asyncio.get_running_loop(), node_id), _Calls())

    def __call__(self, meter: Meter) -> None:
        raise_if_interrupted()
        calls, now = self._calls, time.monotonic()
        calls.meters.add(meter)
        if now - calls.looked_at < DRAW_SECONDS:
            return
        before, so_far = calls.drawn, counted(calls.meters)
        calls.rate.note(now, so_far.done)
        calls.looked_at, calls.drawn = now, (so_far.done, so_far.frames_done)
        if calls.drawn == before:
            return
        if so_far.frames_done < so_far.frames_total or (so_far.frames_done and not so_far.total):
            self._draw_frames(so_far)
        else:
            self._draw_bytes(so_far)

    def _draw_frames(self, so_far: Counted) -> None:
        parts = [f"{self._frames_verb} {so_far.frames_done}"]
        if so_far.frames_total:
            self.bar(so_far.frames_done, so_far.frames_total)
            parts.append(f" of {so_far.frames_total}")
        parts.append(" frames")
        if so_far.done:
            parts.append(f", {in_bytes(so_far.done)}")
        self.text("".join(parts))

    def _draw_bytes(self, so_far: Counted) -> None:
        verb = self._verb if isinstance(self._verb, str) else self._verb()
        if so_far.total > 0:
            self.bar(so_far.done, so_far.total)
            rate = self._calls.rate.words(so_far.total)
            self.text(f"{verb} {in_bytes(so_far.done)} of {in_bytes(so_far.total)}{rate}")
        else:
            self.text(f"{verb} {in_bytes(so_far.done)}{self._calls.rate.words(0)}")

    def bar(self, value: int, total: int) -> None:
        """Draw the bar. Raises ComfyUI's interrupt when Cancel was pressed."""
        from comfy.utils import ProgressBar

        ProgressBar(total, node_id=self._node_id).update_absolute(min(value, total), total)

    def text(self, text: str) -> None:
        """Show one line on the node, in the browser that queued the prompt and in no other."""
        show_text(self._node_id, text)


def show_text(node_id: str | None, text: str) -> None:
    """Show ``text`` on a node, as ``status_text.safe`` lets it through. Nothing happens for a prompt queued
    without a browser: it would go to all of them.
    """
    from server import PromptServer

    server = PromptServer.instance
    if node_id is not None and getattr(server, "client_id", None):
        server.send_progress_text(status_text.safe(text), node_id, server.client_id)


def raise_if_interrupted() -> None:
    """Raise ComfyUI's own exception if Cancel was pressed: on 0.33 it is a BaseException."""
    from comfy.model_management import throw_exception_if_processing_interrupted

    throw_exception_if_processing_interrupted()


def is_interrupted() -> bool:
    """Whether Cancel was pressed and nobody has met it yet; any thread may ask."""
    from comfy.model_management import processing_interrupted

    return bool(processing_interrupted())


# ------------------------------------------------------------ models and files


@dataclass(frozen=True)
class ModelFolders:
    """Where ComfyUI looks for the models of one type, in its order, and what it lists there.

    It lists files that end in one of ``extensions`` (lower case, with their dot), all where there are none.
    """

    folders: tuple[Path, ...]
    extensions: frozenset[str]


def model_folders() -> dict[str, ModelFolders]:
    """Every type that ComfyUI or a node package has registered, also custom_nodes and datasets."""
    import folder_paths

    return {
        name: ModelFolders(tuple(map(Path, entry[0])), frozenset(one.lower() for one in entry[1]))
        for name, entry in list(folder_paths.folder_names_and_paths.items())
    }


def model_names(model_type: str) -> list[str]:
    """The files of one type as its loaders list them: with sub-folders, under the system's separator."""
    import folder_paths

    return list(folder_paths.get_filename_list(model_type))


def file_folders() -> list[Path]:
    """ComfyUI's output, input, temp and models folders."""
    import folder_paths

    return [
        Path(folder)
        for folder in (
            folder_paths.get_output_directory(),
            folder_paths.get_input_directory(),
            folder_paths.get_temp_directory(),
            folder_paths.models_dir,
        )
    ]


# ------------------------------------------------------------ the server


def answer_get(path: str, handler: Callable[[Any], Awaitable[Any]]) -> bool:
    """Let ComfyUI's server answer GET requests to a path with an aiohttp handler, which its loop runs.

    False where there is no server: ComfyUI has one before it loads packages, others that import this one
    have none.
    """
    server = getattr(getattr(sys.modules.get("server"), "PromptServer", None), "instance", None)
    if server is None:
        return False
    server.routes.get(path)(handler)
    return True


# ------------------------------------------------------------ the running prompt


def running_prompts() -> list[Mapping[str, Any]]:
    """What the queue runs at this moment, in the API's form.

    ``IS_CHANGED`` gets None for every linked input and an empty PROMPT, but the queue holds the whole one
    while it runs (both cores). An item is (number, prompt id, prompt, extra data, outputs, …).
    """
    from server import PromptServer

    queue = getattr(PromptServer.instance, "prompt_queue", None)
    return [prompt for _, _, prompt, *_ in list(getattr(queue, "currently_running", {}).values())]
