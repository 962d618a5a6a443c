"""Plans: which files they have, and the words for them."""

from __future__ import annotations

from pathlib import Path

import pytest
from cloud_storage.errors import NotFound
from cloud_storage.storage.base import PutOptions
from cloud_storage.syncing import plan
from cloud_storage.syncing.plan import DELETED, FAILED, LEFT_OUT, Options, Result
from cloud_storage.system.meter import Meter


def quiet(text):
    pass


@pytest.mark.parametrize(
    ("prefix", "folder"),
    [("", ""), ("/", ""), ("a", "a/"), ("a/", "a/"), ("/a/b", "a/b/"), ("a//", "a/")],
)
def test_a_prefix_is_a_folder_of_keys(prefix, folder):
    assert plan.folder_of_keys(prefix) == folder


def test_the_words_count_every_status():
    def results(status, count, size=0):
        return [Result(str(number), status, Path(), "", size) for number in range(count)]

    everything = [
        *results("stored", 2, 500_000),
        *results("skipped", 3),
        *results(DELETED, 1),
        *results(LEFT_OUT, 1),
        *results(FAILED, 4),
    ]
    assert plan.words(everything) == (
        "2 files uploaded (1.0 MB), 3 there already, 1 deleted, 1 left out, 4 failed."
    )
    assert plan.words([]) == "There is nothing to do: no files."


@pytest.mark.parametrize(
    ("pattern", "name", "selected"),
    [("", "a/b.png", True), ("*.png", "a/b.png", True), ("a/*", "a/b.png", True), ("b*", "c/a.png", False)],
)
def test_a_pattern_is_of_the_whole_name_or_of_the_files_own(pattern, name, selected):
    assert Options(pattern=pattern).selects(name) is selected


def test_a_missing_folder_or_file_is_named(direct, tmp_path):
    with pytest.raises(NotFound, match="there is none"):
        plan.upload(tmp_path / "missing", direct, "", Options(), Meter(), quiet)
    with pytest.raises(Exception, match="read what to upload"):
        plan.one_upload(tmp_path / "missing", direct, "a", Options(), Meter())


def test_names_that_no_key_may_have_fail_with_the_reason(direct, tmp_path):
    (tmp_path / "tab\tin it.txt").write_text("a")
    (tmp_path / "back\\slash.txt").write_text("a")
    (tmp_path / "good.txt").write_text("a")
    planned = plan.upload(tmp_path, direct, "p", Options(), Meter(), quiet)
    assert {result.name: result.status for result in planned.results()} == {
        "tab\tin it.txt": FAILED,
        "back\\slash.txt": FAILED,
        "good.txt": "to store",
    }


def test_what_may_not_be_written_here_is_refused_by_the_caller(direct, tmp_path):
    for key in ("p/a.txt", "p/run.py"):
        direct.put(key, b"x", PutOptions(), Meter())
    options = Options(refuse=lambda name: "it is a program" if name.endswith(".py") else "")
    planned = plan.download(direct, "p", tmp_path, options, Meter(), quiet)
    assert [(one.name, one.status) for one in planned.results()] == [
        ("a.txt", "to fetch"),
        ("run.py", FAILED),
    ]
    assert "it is a program" in planned.refused[0].error
