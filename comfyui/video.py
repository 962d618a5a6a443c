"""Converts from and to ComfyUI's VIDEO, and finds ComfyUI's own reader of image files."""

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
    """The reader of ComfyUI's Load Image for this file if that is FFmpeg (core 0.33), or None if it is
    Pillow.

    The reader takes the file as a container of PyAV and returns ``images`` and ``alpha``.
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
    """Yield the source of a VIDEO: its file if it has one, else its frames and audio.

    For a trimmed file (core 0.33), ComfyUI writes the part into a new file, which is deleted at the end.
    """
    from comfy_api.input_impl import VideoFromFile

    if video is None or not hasattr(video, "get_components"):
        raise MediaError(
            sentence("save the video", "its input", "there is none", "Connect a VIDEO to the node.")
        )
    if not isinstance(video, VideoFromFile):
        parts = video.get_components()
        if not is_image_tensor(getattr(parts, "images", None)):
            said = "it has no frames of height x width x channels"
            raise MediaError(sentence("save the video", "its input", said, "Connect a VIDEO to the node."))
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
        # A new reader of the bytes: other nodes may read the VIDEO at the same time.
        yield VideoFile(Path(source) if isinstance(source, str) else io.BytesIO(source.getvalue()))


def _sound_of(audio: Any) -> dict[str, Any] | None:  # noqa: ANN401
    """The first clip of a VIDEO's AUDIO; None if it has no audio or an empty one."""
    if audio is None or (isinstance(audio, Mapping) and 0 in getattr(audio.get("waveform"), "shape", ())):
        return None
    waveform, rate = clips(audio)
    return {"waveform": waveform, "sample_rate": rate}


def video_of(frames: torch.Tensor, sound: dict[str, Any] | None, rate: Fraction) -> Any:  # noqa: ANN401
    """A VIDEO of frames [B, H, W, 3], AUDIO, and the frame rate."""
    from comfy_api.input_impl import VideoFromComponents
    from comfy_api.util import VideoComponents

    return VideoFromComponents(VideoComponents(images=frames, audio=sound, frame_rate=rate))
