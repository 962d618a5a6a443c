"""Collects decoded frames, either in one tensor or, encoded by a VAE, in a latent."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ...system.locks import KeyedLock
from ...system.meter import Meter
from .frame_converter import FrameArray


class Tensor:
    """Collects frames in one float32 tensor; ``result`` returns the first ``count`` of them."""

    multiple = 1  # width and height of the frames have to be multiples of this, in pixels
    held_at_once = 0  # frames in memory at once; 0 for all

    def begin(self, count: int, height: int, width: int, channels: int) -> None:
        self._values = np.empty((max(1, count), height, width, channels), np.float32)
        self._filled = 0

    def grow(self, count: int) -> None:
        """Resize to ``count`` frames, in place if the system can."""
        self._values.resize((count, *self._values.shape[1:]), refcheck=False)

    def add(self, pixels: FrameArray) -> None:
        scale = np.float32(1 / np.iinfo(pixels.dtype).max)
        np.multiply(pixels, scale, out=self._values[self._filled])
        self._filled += 1

    def result(self, count: int) -> torch.Tensor:
        self.grow(count)
        return torch.from_numpy(self._values)


BATCH_PIXELS = 1920 * 1080 * 16  # encoded at once: about 400 MB of frames
_VIDEO_DIMENSIONS = 3  # of a video VAE's latents: time, height, width
_encoding = KeyedLock()


class Latents:
    """Encodes frames as a latent [count, channels, height, width]; [1, channels, time, height, width] by a
    video VAE.

    One video is encoded at a time; ``meter`` stops the wait for another one.
    """

    def __init__(self, vae: Any, meter: Meter) -> None:  # noqa: ANN401  ComfyUI's VAE
        self._vae, self._meter = vae, meter
        # Frames whose sides are no multiple of the VAE's spatial compression would be cropped.
        ratio = vae.spacial_compression_encode() if hasattr(vae, "spacial_compression_encode") else 8
        self.multiple = int(ratio)
        self._whole = getattr(vae, "latent_dim", 2) == _VIDEO_DIMENSIONS and not getattr(
            vae, "not_video", False
        )
        self.held_at_once = 0 if self._whole else 1
        self._batch, self._held = Tensor(), 0
        self._latents: list[torch.Tensor] = []

    def begin(self, count: int, height: int, width: int, channels: int) -> None:
        self._shape = (height, width, channels)
        fitting = max(1, BATCH_PIXELS // (height * width))
        self._size = count if self._whole else min(count or fitting, fitting)
        self.held_at_once = 0 if self._whole else self._size

    def grow(self, count: int) -> None:
        self._batch.grow(count)

    def add(self, pixels: FrameArray) -> None:
        if not self._held:
            self._batch.begin(self._size, *self._shape)
        self._batch.add(pixels)
        self._held += 1
        if not self._whole and self._held == self._size:
            self._encode(self._held)

    def result(self, count: int) -> torch.Tensor:
        if self._held:
            self._encode(count if self._whole else self._held)
        return self._latents[0] if self._whole else torch.cat(self._latents)[:count]

    def _encode(self, count: int) -> None:
        """Encode the batch's first three channels, as ComfyUI's VAE Encode does. Raises TransferCancelled.

        ComfyUI creates models and runs nodes under inference_mode, which is set per thread: without it in
        this thread, the model's tensors fail.
        """
        with _encoding.hold("a batch", self._meter), torch.inference_mode():
            self._latents.append(self._vae.encode(self._batch.result(count)[..., :3]))
        self._held = 0


Sink = Tensor | Latents
