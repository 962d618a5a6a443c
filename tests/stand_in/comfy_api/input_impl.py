"""Stand-in for ``comfy_api.input_impl``: VIDEO of a file, with the cut of core 0.33, and of components."""

import io
import shutil
from pathlib import Path

from .util import VideoComponents


class VideoFromFile:
    def __init__(self, file: str | io.BytesIO, *, start_time: float = 0, duration: float = 0) -> None:
        self._file, self._window = file, (start_time, duration)

    def get_stream_source(self) -> str | io.BytesIO:
        if isinstance(self._file, io.BytesIO):
            self._file.seek(0)
        return self._file

    def get_active_trim_window(self) -> tuple[float, float]:
        return self._window

    def get_container_format(self) -> str:
        return "mov,mp4,m4a,3gp,3g2,mj2"

    def get_components(self) -> VideoComponents:
        raise NotImplementedError("a file is never to be decoded whole")

    def save_to(self, path: str) -> None:
        """Where the core would write the cut: a marked copy is enough to see that it was asked."""
        shutil.copy(str(self._file), path)
        self.saved_to = Path(path)


class VideoFromComponents:
    def __init__(self, components: VideoComponents) -> None:
        self._components = components

    def get_components(self) -> VideoComponents:
        return self._components
