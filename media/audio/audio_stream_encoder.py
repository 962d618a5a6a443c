"""Encodes audio samples into a stream of an open output file, of a video or of audio alone."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from ...errors import MediaError, sentence
from ...system.meter import Meter
from ..formats import LAYOUTS, NAMED_LAYOUTS, AudioCodec
from .audio_timeline import PACKED, Samples

if TYPE_CHECKING:
    from ..output_file import Output

STEP_SECONDS = 1  # of audio encoded between two checks for Cancel
MIN_RESAMPLED = Fraction(1, 50)  # seconds that are encoded at least at another sample rate


class AudioStreamEncoder:
    """Encodes audio into a new stream; created before the first packet of any stream is written.

    ``channels`` and ``rate`` (in Hz) are those of the samples. The stream has the next sample rate that the
    codec takes. ``named`` is FFmpeg's name of the channel layout, "" if unknown; ``notes`` says if it is
    lost. Raises MediaError for more channels than the codec holds, TransferCancelled once ``meter`` is
    stopped.
    """

    def __init__(
        self, output: Output, codec: AudioCodec, channels: int, rate: int, meter: Meter, named: str = ""
    ) -> None:
        import av

        if channels > codec.max_channels:
            said = f"{codec.encoder} encodes at most {codec.max_channels} channels"
            raise MediaError(sentence("encode the audio", f"{channels} channels", said, "Save it as wav."))
        self._output, self._meter = output, meter
        self._channels, self._rate, self._sent = channels, rate, 0
        options = dict(codec.options) if channels in codec.discrete else {}
        # FFmpeg's layout; above eight, channels are only numbered.
        layout = LAYOUTS[channels - 1] if channels <= len(LAYOUTS) else f"{channels} channels"
        self._layout = named if named in codec.layouts else layout
        self.notes: tuple[str, ...] = ()
        if named in NAMED_LAYOUTS and named.removesuffix("(side)") != self._layout.removesuffix("(side)"):
            self.notes = (f"Its channel layout was {named}, which cannot be kept: it is {self._layout} now.",)
        self.stream = output.add_stream(
            codec.encoder, rate=codec.rate(rate), layout=self._layout, options=options
        )
        context = self.stream.codec_context
        context.format = codec.sample_format
        if codec.bits_per_channel:
            context.bit_rate = codec.bits_per_channel * channels
        self._resampler = av.AudioResampler(context.format, context.layout, context.sample_rate)

    def add(self, samples: Samples) -> None:
        """Encode the next samples. Values are clipped to -1..1; NaN becomes silence."""
        import av

        step = STEP_SECONDS * self._rate
        for start in range(0, samples.shape[1], step):
            self._meter.check()
            part = np.nan_to_num(samples[:, start : start + step], posinf=1, neginf=-1).clip(-1, 1)
            packed = np.ascontiguousarray(part.T, np.float32).reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(packed, PACKED, self._layout)
            frame.sample_rate, frame.pts, frame.time_base = self._rate, self._sent, Fraction(1, self._rate)
            self._sent += part.shape[1]
            for resampled in self._resampler.resample(frame):
                self._output.encode(self.stream, resampled)

    def finish(self) -> None:
        """Encode the rest.

        A resampler returns nothing for a few samples, and a file without packets cannot be read. So silence
        is added to them.
        """
        short = int(MIN_RESAMPLED * self._rate) - self._sent
        if short > 0 and self._rate != self.stream.codec_context.sample_rate:
            self.add(np.zeros((self._channels, short), np.float32))
        for resampled in self._resampler.resample(None):
            self._output.encode(self.stream, resampled)
        self._output.encode(self.stream, None)
