from __future__ import annotations

import pytest
from cloud_storage.comfyui import local_names


@pytest.mark.parametrize(
    "name",
    ["a:b", "a\\b", "con", "NUL.txt", "com1.png", "a.", "a ", "x" * 206, "a\tb", "a?", "a\ud800", "lpt²"],
)
def test_a_name_that_some_system_does_not_accept(name):
    assert local_names.is_invalid(["folder", name])


@pytest.mark.parametrize("name", ["a b", "图", "console", "com10.png", "a.tar.gz", "x" * 205, "-", "a;b"])
def test_a_name_that_every_system_accepts(name):
    assert not local_names.is_invalid(["folder", name])


def test_a_path_may_be_too_long_although_no_part_of_it_is():
    assert local_names.is_invalid(["x" * 200] * 6)


def test_what_leads_elsewhere_and_what_is_hidden():
    assert local_names.is_outside(["a", "..", "b"])
    assert not local_names.is_outside(["a", "...b"])
    assert local_names.is_hidden(["a", ".env"])
    assert not local_names.is_hidden(["a", "b.env"])
