"""What is damaged in a file, in the lines of a node, or as an error."""

from __future__ import annotations

from fractions import Fraction

import pytest
from cloud_storage import errors
from cloud_storage.media.damage import FAIL, MAX_SPANS, ImageDamage, StreamDamage


def test_each_damage_of_an_image_is_noted_once():
    damage = ImageDamage("a.png", "read the image")
    for _ in range(2):
        damage.found("the file is cut off")
        damage.lost("its EXIF data cannot be read")
    assert damage.notes == ["a.png: the file is cut off.", "a.png: its EXIF data cannot be read."]


def test_lost_metadata_is_no_reason_to_fail_and_lost_pixels_are():
    damage = ImageDamage("a.png", "read the image", FAIL)
    damage.lost("its EXIF data cannot be read")
    with pytest.raises(errors.MediaError, match=r"read the image \(a.png\): the file is cut off.*on_damage"):
        damage.found("the file is cut off")


def test_an_undamaged_video_has_no_lines():
    assert StreamDamage("a video", "a.mp4").lines() == ()


def test_damage_that_lies_close_together_is_one_span():
    damage = StreamDamage("a video", "a.mp4")
    for index in (3, 4, 5, 9):
        damage.frame(index)
    for seconds in (1, Fraction(6, 5), 7):
        damage.audio(Fraction(seconds))
    damage.lost(Fraction(2))
    damage.ends("cut off after 3.20 s")
    assert damage.lines() == (
        "Damaged frames, counted from 0: 3 to 5, 9.",
        "1 frame could not be decoded, near 2.00 s.",
        "Audio could not be decoded, near 1.00 to 1.20, 7.00 s.",
        "The file is cut off after 3.20 s.",
    )
    damage.forget_lost()
    assert not any("could not be decoded, near 2.00" in line for line in damage.lines())


def test_of_many_spans_some_are_named_and_the_others_counted():
    damage = StreamDamage("a video", "a.mp4")
    for index in range(0, 20, 2):
        damage.frame(index)
    assert damage.lines()[0].endswith(f"10 and {10 - MAX_SPANS} more places.")


@pytest.mark.parametrize("note", ["frame", "lost", "audio", "ends"])
def test_every_kind_of_damage_fails_if_the_user_asked_for_it(note):
    damage = StreamDamage("a video", "a.mp4", FAIL)
    with pytest.raises(errors.MediaError, match=r"Could not read a video \(a.mp4\): .* on_damage"):
        getattr(damage, note)("cut off" if note == "ends" else 1)
