"""IMAGE tensors: what is one, and its floats as bytes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from cloud_storage.media.image_tensor import BAND_ROWS, is_image_tensor, to_uint8


@pytest.mark.parametrize(
    ("value", "is_one"),
    [
        (torch.zeros((1, 2, 2, 3)), True),
        (torch.zeros((1, 2, 2, 3), dtype=torch.float16), True),
        (torch.zeros((2, 2, 3)), False),
        (torch.zeros((0, 2, 2, 3)), False),
        (torch.zeros((1, 2, 2, 3), device="meta"), False),
        (torch.zeros((1, 2, 2, 3)).to_sparse(), False),
        (np.zeros((1, 2, 2, 3)), False),
        (None, False),
    ],
)
def test_an_image_is_a_dense_tensor_of_four_dimensions_that_is_not_empty(value, is_one):
    assert is_image_tensor(value) is is_one


def test_floats_become_bytes_as_in_save_image_and_nan_becomes_0():
    found = to_uint8(np.array([[-1, 0, 0.5, 0.999, 1, 2, np.nan, np.inf, -np.inf]], np.float32))
    assert found.tolist() == [[0, 0, 127, 254, 255, 255, 0, 255, 0]]


@pytest.mark.parametrize("rows", [1, BAND_ROWS - 1, BAND_ROWS, BAND_ROWS + 1, 3 * BAND_ROWS + 5])
def test_every_row_is_converted_whatever_the_number_of_bands(rows):
    frame = np.random.default_rng(rows).random((rows, 3, 3), np.float32)
    assert np.array_equal(to_uint8(frame), (frame * 255).astype(np.uint8))
