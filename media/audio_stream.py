"""Sound between PyAV's frames and arrays [channels, samples] of float32, on the clock of the file it is in.

Decoded sound is put where its times say, so that what is missing in a file is silence and what follows stays
in step with the pictures. Channels keep their order: that of FFmpeg's layouts, which files share.
"""

from __future__ import annotations

from collections import deque
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..errors import MediaError, sentence
from ..system.meter import Meter
from .formats import _NAMED, SoundCodec

if TYPE_CHECKING:
    from av import AudioFrame, AudioResampler

    from .output_file import Output

Samples = npt.NDArray[np.float32]  # [channels, samples]
# One sample of every channel, then the next: PyAV's arrays of one channel after another end at seven.
_PACKED = "flt"
# By the number of channels: the layouts that AAC, Opus and FLAC all take.
LAYOUTS = ("mono", "stereo", "3.0", "quad", "5.0", "5.1", "6.1", "7.1")
STEP_SECONDS = 1  # of sound encoded between two looks for a cancel
SHORTEST_PART = 50  # of a second that is encoded at another rate
JITTER_SECONDS = Fraction(1, 20)  # of times in a file, which does not move the sound: no gap is that short


def layout(channels: int) -> str:
    """FFmpeg's name for that many channels; beyond eight they are only numbered."""
    return LAYOUTS[channels - 1] if channels <= len(LAYOUTS) else f"{channels} channels"


class Recorder:
    """Takes up the decoded frames of one stream and cuts a window out of them.

    ``start`` is the instant of the file's clock that counts as zero. Fed and read by one thread.
    """

    def __init__(self, start: Fraction = Fraction(0)) -> None:
        self.rate, self.channels = 0, 0
        self._start = start
        self._pieces: deque[tuple[int, Samples]] = deque()  # the number of its first sample, and they
        self._next = 0  # the number of the sample that follows
        self._resampler: AudioResampler | None = None
        self._form: tuple[str, str, int] | None = None  # of the frames that come now

    @property
    def seconds(self) -> Fraction:
        """How far the sound reaches that was taken up."""
        return Fraction(self._next, self.rate) if self.rate else Fraction(0)

    def add(self, frame: AudioFrame) -> None:
        """Take up one frame. What comes at another rate or layout than the first is made like it."""
        from av import AudioResampler

        form = (frame.format.name, frame.layout.name, frame.sample_rate)
        if form != self._form:
            if not self.rate:
                self.rate, self.channels = frame.sample_rate, frame.layout.nb_channels
                self._layout = frame.layout
            self.finish()
            self._form = form
            self._resampler = AudioResampler(_PACKED, self._layout, self.rate)
        if frame.pts is not None and frame.time_base:
            stated = round((frame.pts * frame.time_base - self._start) * self.rate)
            if not self._pieces or abs(stated - self._next) > JITTER_SECONDS * self.rate:
                self._next = stated
        if self._resampler is not None:
            self._keep(self._resampler.resample(frame))

    def finish(self) -> None:
        """Take up what is on its way still, where the rate is changed."""
        if self._resampler is not None:
            self._keep(self._resampler.resample(None))
            self._resampler, self._form = None, None

    def _keep(self, frames: list[AudioFrame]) -> None:
        for made in frames:
            samples = made.to_ndarray().reshape(-1, self.channels).T
            self._pieces.append((self._next, samples))
            self._next += samples.shape[1]

    def forget(self, before: Fraction) -> None:
        """Drop what lies wholly before an instant."""
        limit = before * self.rate
        while self._pieces and self._pieces[0][0] + self._pieces[0][1].shape[1] <= limit:
            self._pieces.popleft()

    def window(self, start: Fraction, end: Fraction | None = None) -> Samples:
        """The sound from ``start`` to ``end``, silent where there is none; None is to its own end."""
        first = round(start * self.rate)
        stop = self._next if end is None else round(end * self.rate)
        samples = np.zeros((self.channels, max(0, stop - first)), np.float32)
        for number, piece in self._pieces:
            low, high = max(number, first), min(number + piece.shape[1], stop)
            if low < high:
                samples[:, low - first : high - first] = piece[:, low - number : high - number]
        return samples


MP3 = SoundCodec("libmp3lame", "fltp", 2, (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000))


class SoundEncoder:
    """Encodes sound into a new stream of an open container; made before the first packet of any stream.

    ``channels`` and ``rate`` (in Hz) are the sound's own; the stream has the next rate that its codec takes.
    ``named`` is FFmpeg's name for its layout where it is known; ``notes`` says what of that is lost.
    Raises MediaError for more channels than the codec holds, TransferCancelled once ``meter`` is stopped.
    """

    def __init__(
        self, output: Output, codec: SoundCodec, channels: int, rate: int, meter: Meter, named: str = ""
    ) -> None:
        import av

        if channels > codec.max_channels:
            said = f"{codec.encoder} holds {codec.max_channels} channels and there are {channels}"
            raise MediaError(sentence("encode the sound", f"{channels} channels", said, "Save it as wav."))
        self._output, self._meter = output, meter
        self._channels, self._rate, self._sent = channels, rate, 0
        options = dict(codec.options) if channels in codec.discrete else {}
        self._layout = named if named in codec.layouts else layout(channels)
        self.notes: tuple[str, ...] = ()
        if named in _NAMED and named.removesuffix("(side)") != self._layout.removesuffix("(side)"):
            self.notes = (
                f"Its loudspeakers were {named}, which cannot be kept: they are {self._layout} now.",
            )
        self.stream = output.add_stream(
            codec.encoder, rate=codec.rate(rate), layout=self._layout, options=options
        )
        context = self.stream.codec_context
        context.format = codec.sample_format
        if codec.bits_per_channel:
            context.bit_rate = codec.bits_per_channel * channels
        self._resampler = av.AudioResampler(context.format, context.layout, context.sample_rate)

    def add(self, samples: Samples) -> None:
        """Encode what follows. Values beyond -1 to 1 are cut off, and what is no number is silent."""
        import av

        step = STEP_SECONDS * self._rate
        for start in range(0, samples.shape[1], step):
            self._meter.check()
            part = np.nan_to_num(samples[:, start : start + step], posinf=1, neginf=-1).clip(-1, 1)
            packed = np.ascontiguousarray(part.T, np.float32).reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(packed, _PACKED, self._layout)
            frame.sample_rate, frame.pts, frame.time_base = self._rate, self._sent, Fraction(1, self._rate)
            self._sent += part.shape[1]
            for made in self._resampler.resample(frame):
                self._output.encode(self.stream, made)

    def finish(self) -> None:
        """Encode the rest of what was added.

        A change of rate gives nothing at all for a few samples, and what nothing was written to is no file:
        so they are followed by silence.
        """
        short = self._rate // SHORTEST_PART - self._sent
        if short > 0 and self._rate != self.stream.codec_context.sample_rate:
            self.add(np.zeros((self._channels, short), np.float32))
        for made in self._resampler.resample(None):
            self._output.encode(self.stream, made)
        self._output.encode(self.stream, None)
