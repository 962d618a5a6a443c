"""setup in a terminal of its own: what it asks, checks, tests and writes."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import sys

import pytest
from cloud_storage.command_line import setup

pty = pytest.importorskip("pty", reason="Windows has no pseudo-terminal")


class Terminal:
    """A process with a terminal: waits for a question, then answers it."""

    def __init__(self, cli, *arguments):
        environ = {name: value for name, value in cli.environ.items() if not name.startswith("COMFY_S3_")}
        self.shown = ""
        self.process, self._terminal = pty.fork()
        if not self.process:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # a background job of a shell ignores it
            os.chdir(cli.cwd)
            os.execve(cli.python, [cli.python, str(cli.script), *arguments], environ)

    def answer(self, question, text):
        start = len(self.shown)
        while question not in self.shown[start:]:
            self._read()
        os.write(self._terminal, f"{text}\n".encode())

    def _read(self):
        data = os.read(self._terminal, 4096)
        if not data:
            raise EOFError(self.shown)
        self.shown += data.decode()

    def end(self):
        try:
            while True:
                self._read()
        except (OSError, EOFError):
            pass
        return os.waitstatus_to_exitcode(os.waitpid(self.process, 0)[1])


def profiles(cli):
    return cli.comfyui / "user" / "__cloud_storage" / "profiles.json"


def answer_place(terminal, cli):
    environ = cli.environ
    terminal.answer("Provider", environ["COMFY_S3_PROVIDER"][:7].lower())
    if environ["COMFY_S3_PROVIDER"] == "Custom":
        terminal.answer("endpoint url", "not an address")
        terminal.answer("endpoint url", environ["COMFY_S3_ENDPOINT_URL"])
    terminal.answer("egion", "")
    terminal.answer("bucket", "s3://wrong/")
    terminal.answer("bucket", environ["COMFY_S3_BUCKET"])
    terminal.answer("folder", environ["COMFY_S3_PATH_PREFIX"].rstrip("/"))


@pytest.fixture
def s3(cli):
    if cli.environ["COMFY_S3_PROVIDER"] != "Custom":
        pytest.skip("OSS has no endpoint to ask for: its server is not on this machine")
    return cli


def test_it_asks_checks_tests_and_writes_a_file_that_nobody_else_may_read(s3, storage):
    terminal = Terminal(s3, "setup")
    answer_place(terminal, s3)
    terminal.answer("access key", s3.environ["COMFY_S3_ACCESS_KEY"])
    terminal.answer("secret key", "a wrong secret")
    terminal.answer("Ask for the access key again?", "")
    terminal.answer("access key", s3.environ["COMFY_S3_ACCESS_KEY"])
    terminal.answer("secret key", s3.environ["COMFY_S3_SECRET_KEY"])
    terminal.answer("Name of the profile", "")
    assert terminal.end() == 0, terminal.shown
    assert s3.environ["COMFY_S3_SECRET_KEY"] not in terminal.shown
    assert "✓ create" in terminal.shown
    assert "endpoint_url is not an http or https address" in terminal.shown
    file = profiles(s3)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert json.loads(file.read_text())["profiles"]["mine"] == {
        "provider": "Custom",
        "endpoint_url": s3.environ["COMFY_S3_ENDPOINT_URL"],
        "bucket": s3.environ["COMFY_S3_BUCKET"],
        "path_prefix": s3.environ["COMFY_S3_PATH_PREFIX"],
        "access_key": s3.environ["COMFY_S3_ACCESS_KEY"],
        "secret_key": s3.environ["COMFY_S3_SECRET_KEY"],
    }
    nothing = {name: "" for name in s3.environ if name.startswith("COMFY_S3_")}
    assert s3.run("test", **nothing).code == 0


def test_another_profile_is_added_and_the_rest_of_the_file_is_kept(s3):
    file = profiles(s3)
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"profiles": {"mine": {"bucket": "b", "access_key": "${KEY}"}}}))
    terminal = Terminal(s3, "setup")
    answer_place(terminal, s3)
    terminal.answer("access key", s3.environ["COMFY_S3_ACCESS_KEY"])
    terminal.answer("secret key", s3.environ["COMFY_S3_SECRET_KEY"])
    terminal.answer("Name of the profile", "second")
    terminal.answer("Use it if no profile is chosen?", "y")
    assert terminal.end() == 0, terminal.shown
    written = json.loads(file.read_text())
    assert written["profiles"]["mine"] == {"bucket": "b", "access_key": "${KEY}"}
    assert written["default"] == "second"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_ctrl_c_ends_it_and_writes_nothing(offline):
    terminal = Terminal(offline, "setup")
    terminal.answer("Provider", "\x03")
    assert terminal.end() == 130
    assert not profiles(offline).exists()


def test_a_damaged_file_is_not_replaced(offline):
    file = profiles(offline)
    file.parent.mkdir(parents=True)
    file.write_text("{")
    terminal = Terminal(offline, "setup")
    assert terminal.end() == 2
    assert "is not valid JSON" in terminal.shown
    assert file.read_text() == "{"


def test_without_a_terminal_it_says_what_to_set(offline):
    done = offline.run("setup")
    assert done.code == 2
    assert "COMFY_S3_BUCKET" in done.err
    assert str(profiles(offline)) in done.err


def test_lines_to_export_are_quoted_for_the_shell():
    lines = setup.exports({"provider": "Custom", "secret_key": "it's $HOME", "region": ""})
    if os.name == "nt":
        assert lines == ["$env:COMFY_S3_PROVIDER = 'Custom'", "$env:COMFY_S3_SECRET_KEY = 'it''s $HOME'"]
    else:
        assert lines == [
            "export COMFY_S3_PROVIDER=Custom",
            "export COMFY_S3_SECRET_KEY='it'\"'\"'s $HOME'",
        ]


def test_every_provider_is_offered_in_the_words_of_its_console(offline):
    from cloud_storage import providers

    terminal = Terminal(offline, "setup")
    terminal.answer("Provider", "back")
    terminal.answer("region", "")
    terminal.answer("bucket", "my-bucket")
    terminal.answer("folder", "")
    terminal.answer("keyID", "\x03")
    terminal.end()
    shown = re.sub(r"\s+", " ", terminal.shown)
    assert all(name in shown for name in providers.names())
    assert sys.executable
