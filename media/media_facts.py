"""What is known of an image, a video or an audio file: its size, its frames, its duration."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

from ..errors import MediaError
from .container import MICROSECONDS, opened, video_stream


@dataclass(frozen=True)
class MediaFacts:
    """Width and height in pixels, number of frames, duration in seconds; None where it is unknown or has no
    meaning.
    """

    width: int | None = None
    height: int | None = None
    frames: int | None = None
    seconds: float | None = None


def of_video(path: Path) -> MediaFacts:
    """What the header of a video file says, of a file that was just written. Reads no frame, raises nothing:
    a file that cannot be opened has no facts.
    """
    with contextlib.suppress(MediaError), opened(path, path.name, "a video file") as container:
        stream = video_stream(container)
        if stream is not None:
            context = stream.codec_context
            seconds = container.duration / MICROSECONDS if container.duration else None
            return MediaFacts(context.width, context.height, stream.frames or None, seconds)
    return MediaFacts()
