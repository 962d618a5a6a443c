"""What is written: for people, and for programs."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
from cloud_storage.command_line.console import Console, counts, in_own_words, printable
from cloud_storage.storage.base import ObjectInfo
from cloud_storage.syncing.plan import DELETED, FAILED, LEFT_OUT, TO_STORE, Result
from cloud_storage.system.meter import Meter


def result(status, **fields):
    return Result("a.txt", status, Path("folder/a.txt"), "prefix/a.txt", 5, **fields)


def test_lines_for_people_name_what_moved_and_not_what_is_unchanged(capsys):
    console = Console()
    for status in ("stored", "skipped", "fetched", "unchanged", DELETED, TO_STORE):
        console.file(result(status))
    console.file(result(LEFT_OUT, error="It is a link."))
    assert capsys.readouterr().out.splitlines() == [
        "uploaded prefix/a.txt (5 B)",
        f"downloaded {Path('folder/a.txt')} (5 B)",
        "deleted a.txt",
        "would upload prefix/a.txt (5 B)",
        f"left out {Path('folder/a.txt')}: It is a link.",
    ]
    console.file(result(FAILED, error="Could not."))
    assert capsys.readouterr().err == "Error: Could not.\n"
    assert console.failed == 1


def test_objects_for_programs_leave_out_what_is_unknown(capsys):
    console = Console(is_json=True)
    console.file(result("fetched", info=ObjectInfo("prefix/a.txt", 5, "etag", sha256="0" * 64)))
    console.file(result(FAILED, error="Could not."))
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert first == {
        "event": "file",
        "status": "fetched",
        "key": "prefix/a.txt",
        "path": str(Path("folder/a.txt")),
        "size": 5,
        "etag": "etag",
        "sha256": "0" * 64,
    }
    assert (second["status"], second["message"], "size" in second) == ("failed", "Could not.", False)


def test_quiet_writes_errors_and_answers_only(capsys):
    console = Console(is_quiet=True)
    console.line("line")
    console.warning("warning")
    console.file(result("stored"))
    console.answer("answer")
    console.error("error")
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("answer\n", "Error: error\n")


def test_the_progress_of_a_program_is_in_bytes(capsys):
    console, meter = Console(is_json=True), Meter(10)
    meter.add(4)
    console._drawn_at -= 100
    console.progress(meter)
    assert json.loads(capsys.readouterr().out) == {"event": "progress", "done": 4, "total": 10}


def test_where_there_is_no_terminal_the_progress_is_a_line(capsys):
    console, meter = Console(), Meter(10_000_000)
    meter.add(4_000_000)
    console._drawn_at -= 100
    console.progress(meter)
    assert capsys.readouterr().err == "4.0 MB of 10.0 MB\n"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ü 日本", "plain ü 日本"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("two\nlines", "two\\nlines"),
        ("half \ud800", "half \\ud800"),
        ("turned \u202egnp", "turned \\u202egnp"),
    ],
)
def test_a_name_steers_no_terminal(text, shown):
    assert printable(text) == shown


def test_messages_speak_of_commands_and_hide_signed_addresses(capsys):
    assert in_own_words("Run the node again.") == "Run the command again."
    Console().error("Could not get https://host/key?X-Amz-Signature=secret")
    assert capsys.readouterr().err == "Error: Could not get https://host/key\n"


def test_warnings_of_the_log_are_shown(capsys):
    Console()
    logging.getLogger("cloud_storage").warning("Other users may read %s.", "profiles.json")
    assert capsys.readouterr().err == "Warning: Other users may read profiles.json.\n"


def test_results_are_counted_by_their_status():
    assert counts([result(TO_STORE), result(TO_STORE), result(FAILED)]) == {"to_store": 2, "failed": 1}
