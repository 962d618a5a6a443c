"""ComfyUI's VIDEO in and out, and its own way to read an image file."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import MediaError, sentence
from ..media.audio.audio_encoder import clips
from ..media.image_tensor import is_image_tensor
from ..media.video.video_plan import Video, VideoFile, VideoFrames, frame_rate
from .results import new_preview

if TYPE_CHECKING:
    import torch


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
def video_clip(video: Any) -> Iterator[Video]:  # noqa: ANN401  ComfyUI's VIDEO, of the core or of another package
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
        if not is_image_tensor(getattr(parts, "images", None)):
            said = "it has no frames of height x width x channels"
            raise MediaError(sentence("save the video", "its input", said, "Wire a VIDEO to the node."))
        sound, rate = getattr(parts, "audio", None), getattr(parts, "frame_rate", None)
        yield VideoFrames(parts.images, _sound_of(sound), frame_rate(rate))
    elif any(getattr(video, "get_active_trim_window", tuple)()):
        path = new_preview("mp4" if "mp4" in video.get_container_format() else "mkv")
        try:
            video.save_to(str(path))
            yield VideoFile(path)
        finally:
            path.unlink(missing_ok=True)
    else:
        source = video.get_stream_source()
        # Of bytes, a reader of our own: other nodes may read the same ones meanwhile.
        yield VideoFile(Path(source) if isinstance(source, str) else io.BytesIO(source.getvalue()))


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
