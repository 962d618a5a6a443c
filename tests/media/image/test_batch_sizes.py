"""Pictures of several sizes in one batch."""

from __future__ import annotations

import weakref

import pytest
import torch
from cloud_storage.media.image import batch_sizes


def gathered(pictures, size_mode):
    gathering = batch_sizes.Gathering(size_mode)
    gathering.expect(len(pictures))
    for index, one in enumerate(pictures):
        gathering.add(index, one)
    return gathering.result()


def picture(height, width, value=None):
    generator = torch.Generator().manual_seed(height * width)
    image = torch.rand((1, height, width, 3), generator=generator)
    return (image if value is None else torch.full_like(image, value)), torch.zeros((1, height, width))


@pytest.mark.parametrize("size_mode", batch_sizes.SIZE_MODES)
def test_equal_sizes_stay_as_they_are_bit_for_bit(size_mode):
    pictures = [picture(8, 6), picture(8, 6, 0.25)]
    images, masks = gathered(pictures, size_mode)
    assert torch.equal(torch.cat(images), torch.cat([image for image, _ in pictures]))
    assert torch.equal(torch.cat(masks), torch.zeros((2, 8, 6)))
    assert len(images) == len(masks) == (2 if size_mode == batch_sizes.SEPARATE else 1)


def test_pad_keeps_the_whole_image_and_masks_what_was_added():
    images, masks = gathered([picture(10, 20, 0.0), picture(10, 10, 0.5)], "pad to first")
    added = images[0][1], masks[0][1]
    assert images[0].shape == (2, 10, 20, 3)
    assert torch.equal(added[0][:, 5:15], torch.full((10, 10, 3), 0.5))
    assert added[0][:, :5].sum() == added[0][:, 15:].sum() == 0
    assert torch.equal(added[1][:, :5], torch.ones((10, 5)))
    assert torch.equal(added[1][:, 5:15], torch.zeros((10, 10)))


def test_crop_fills_the_size_and_cuts_evenly():
    wide = torch.zeros((1, 10, 30, 3))
    wide[:, :, 10:20] = 1.0
    images, masks = gathered([picture(10, 10), (wide, torch.zeros((1, 10, 30)))], "crop to first")
    assert torch.equal(images[0][1], torch.ones((10, 10, 3)))
    assert masks[0].sum() == 0


def test_resize_fills_the_size_whatever_becomes_of_the_proportions():
    tall = torch.zeros((1, 40, 10, 3))
    tall[:, :20] = 1.0
    images, _ = gathered([picture(10, 10), (tall, torch.zeros((1, 40, 10)))], "resize to first")
    assert images[0][1].shape == (10, 10, 3)
    assert images[0][1][:4].min() > 0.95
    assert images[0][1][6:].max() < 0.05


@pytest.mark.parametrize("size_mode", ["pad to first", "crop to first", "resize to first"])
@pytest.mark.parametrize("size", [(1, 1), (7, 300), (300, 7), (640, 480)])
def test_any_size_fits_and_stays_between_black_and_white(size_mode, size):
    images, masks = gathered([picture(33, 57), picture(*size)], size_mode)
    assert images[0].shape == (2, 33, 57, 3)
    assert masks[0].shape == (2, 33, 57)
    assert 0 <= images[0].min() <= images[0].max() <= 1
    assert 0 <= masks[0].min() <= masks[0].max() <= 1


def test_one_item_each_keeps_every_size():
    images, masks = gathered([picture(3, 4), picture(5, 6)], batch_sizes.SEPARATE)
    assert [image.shape for image in images] == [(1, 3, 4, 3), (1, 5, 6, 3)]
    assert [mask.shape for mask in masks] == [(1, 3, 4), (1, 5, 6)]


@pytest.mark.parametrize("size_mode", batch_sizes.SIZE_MODES)
@pytest.mark.parametrize("left_out", [(), (0,), (2,), (0, 4)])
@pytest.mark.parametrize("known_after", [0, 2, 5])
def test_in_whatever_order_images_come_they_are_in_their_own(size_mode, left_out, known_after):
    pictures = [picture(6, 5, number / 8) for number in range(5)]
    gathering = batch_sizes.Gathering(size_mode)
    coming = [number for number in (3, 1, 4, 0, 2) if number not in left_out]
    for number in coming[:known_after]:
        gathering.add(number, pictures[number])
    gathering.expect(5)
    for number in coming[known_after:]:
        gathering.add(number, pictures[number])
    images, masks = gathering.result()
    wanted = [pictures[number] for number in sorted(coming)]
    assert torch.equal(torch.cat(images), torch.cat([image for image, _ in wanted]))
    assert torch.equal(torch.cat(masks), torch.cat([mask for _, mask in wanted]))


def test_an_image_in_the_batch_is_not_kept_besides():
    gathering = batch_sizes.Gathering("pad to first")
    first, second = picture(6, 5), picture(6, 5)
    seen = [weakref.ref(first[0]), weakref.ref(second[0])]
    gathering.add(1, second)
    gathering.expect(2)
    gathering.add(0, first)
    del first, second
    assert [ref() for ref in seen] == [None, None]
