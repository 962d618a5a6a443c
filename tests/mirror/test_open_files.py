from __future__ import annotations

import subprocess
import sys

import pytest
from cloud_storage.mirror import open_files


@pytest.mark.skipif(sys.platform == "darwin", reason="that system does not tell")
def test_a_file_is_written_to_while_this_or_another_process_has_it_open_for_that(tmp_path):
    written, read, other = (tmp_path / name for name in ("written", "read", "other"))
    for path in (written, read, other):
        path.write_bytes(b"x")
    paths = [written, read, other]
    program = "import sys; file = open(sys.argv[1], 'ab'); print('open', flush=True); sys.stdin.read()"
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(other)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with process, written.open("ab"), read.open("rb"):
        assert process.stdout.readline().strip() == b"open"
        assert open_files.written_to(paths) == {written, other}
        process.stdin.close()
    assert open_files.written_to(paths) == set()


def test_no_paths_and_missing_files_are_no_errors(tmp_path):
    assert open_files.written_to([]) == set()
    assert open_files.written_to([tmp_path / "missing"]) == set()
