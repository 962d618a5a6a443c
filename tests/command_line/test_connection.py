"""test: the report of Test Cloud Connection."""

from __future__ import annotations


def test_the_report_says_what_works(cli):
    done = cli.json("test")
    lines = [event["text"] for event in done.events if event["event"] == "check"]
    assert (done.code, lines[0]) == (0, "Profile (env vars): works")
    assert [line.split()[1] for line in lines if line.startswith("✓")] == [
        *("list", "write", "read", "create", "delete", "share")
    ]
    shown = cli.run("test", "--quiet")
    assert shown.out.startswith("Profile (env vars): works\n✓ list")
    assert cli.environ["COMFY_S3_SECRET_KEY"] not in shown.out


def test_what_does_not_work_ends_with_1(cli):
    done = cli.json("test", COMFY_S3_SECRET_KEY="wrong-secret-of-nobody")
    assert (done.code, done.events[0]["level"]) == (1, "error")
