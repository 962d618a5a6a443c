from __future__ import annotations

import pytest
from cloud_storage import errors
from cloud_storage.loading import image_folder
from cloud_storage.loading.selection import Choice
from cloud_storage.storage.base import ObjectInfo


class Listed:
    """A bucket that can only be listed."""

    place = "bucket 'listed'"

    def __init__(self, *keys):
        self.keys = keys

    def list(self, prefix):
        return (ObjectInfo(key, 1, "etag") for key in self.keys if key.startswith(prefix))


FOLDER = Listed("in/a.png", "in/b.JPG", "in/c.txt", "in/d.webp", "in/sub/", "out/e.png")


def keys(prefix="in/", pattern="*", **choice):
    return [info.key for info in image_folder.images(FOLDER, prefix, pattern, Choice(**choice))]


def test_images_are_known_by_their_extensions_and_other_files_do_not_count():
    assert keys() == ["in/a.png", "in/b.JPG", "in/d.webp"]
    assert keys(skip=1, limit=1) == ["in/b.JPG"]
    assert keys(pattern="*.png") == ["in/a.png"]


def test_a_folder_without_an_image_is_an_error_that_says_what_was_asked_for():
    with pytest.raises(errors.NotFound, match=r"below 'in/' matches '\*\.gif' \(bucket 'listed'\)"):
        keys(pattern="*.gif")
    with pytest.raises(errors.NotFound, match="after the first 3"):
        keys(skip=3)


def test_the_text_on_the_progress_has_the_right_number():
    loading = image_folder.Loading()
    loading._count = 1
    assert loading.words() == "Loaded 0 of 1 image,"
