"""Places decoded audio at its times: gaps in a file become silence, and audio stays in sync with video.

Channels keep FFmpeg's order, which files share.
"""

from __future__ import annotations

from collections import deque
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from av import AudioFrame, AudioResampler

Samples = npt.NDArray[np.float32]  # [channels, samples]
# Interleaved samples: PyAV's planar arrays hold at most seven channels.
PACKED = "flt"
LEAD_SECONDS = Fraction(1, 10)  # decoded before a window: a codec's first samples are too quiet
JITTER_SECONDS = Fraction(1, 20)  # differences between a file's times that are no gaps


class AudioTimeline:
    """Collects the decoded frames of one stream and returns any window of them. Used by one thread.

    ``start`` is the time of the file that counts as zero.
    """

    def __init__(self, start: Fraction = Fraction(0)) -> None:
        self.rate, self.channels = 0, 0
        self._start = start
        self._pieces: deque[tuple[int, Samples]] = deque()  # the number of the first sample, and the samples
        self._next = 0  # the number of the next sample
        self._resampler: AudioResampler | None = None
        self._input: tuple[str, str, int] | None = None  # format, layout and rate of the current frames

    @property
    def seconds(self) -> Fraction:
        """The end of the collected audio."""
        return Fraction(self._next, self.rate) if self.rate else Fraction(0)

    def add(self, frame: AudioFrame) -> None:
        """Add one frame. It is converted to the sample rate and layout of the first frame."""
        from av import AudioResampler

        form = (frame.format.name, frame.layout.name, frame.sample_rate)
        if form != self._input:
            if not self.rate:
                self.rate, self.channels = frame.sample_rate, frame.layout.nb_channels
                self._layout = frame.layout
            self.finish()
            self._input = form
            self._resampler = AudioResampler(PACKED, self._layout, self.rate)
        if frame.pts is not None and frame.time_base:
            stated = round((frame.pts * frame.time_base - self._start) * self.rate)
            if not self._pieces or abs(stated - self._next) > JITTER_SECONDS * self.rate:
                self._next = stated
        if self._resampler is not None:
            self._keep(self._resampler.resample(frame))

    def finish(self) -> None:
        """Add the samples that the resampler still holds."""
        if self._resampler is not None:
            self._keep(self._resampler.resample(None))
            self._resampler, self._input = None, None

    def _keep(self, frames: list[AudioFrame]) -> None:
        for frame in frames:
            samples = frame.to_ndarray().reshape(-1, self.channels).T
            self._pieces.append((self._next, samples))
            self._next += samples.shape[1]

    def forget(self, before: Fraction) -> None:
        """Drop the frames that end before a time."""
        limit = before * self.rate
        while self._pieces and self._pieces[0][0] + self._pieces[0][1].shape[1] <= limit:
            self._pieces.popleft()

    def window(self, start: Fraction, end: Fraction | None = None) -> Samples:
        """Return the audio from ``start`` to ``end``, or to its own end; gaps are silence."""
        first = round(start * self.rate)
        stop = self._next if end is None else round(end * self.rate)
        samples = np.zeros((self.channels, max(0, stop - first)), np.float32)
        for number, piece in self._pieces:
            low, high = max(number, first), min(number + piece.shape[1], stop)
            if low < high:
                samples[:, low - first : high - first] = piece[:, low - number : high - number]
        return samples
