from __future__ import annotations

import os

import pytest
from cloud_storage.system.file_fingerprint import Fingerprint, fingerprint_text


def test_a_file_fits_until_its_size_or_its_time_changes(tmp_path):
    path, longer, later = (tmp_path / name for name in ("a", "longer", "later"))
    for each in (path, longer, later):
        each.write_bytes(b"content")
        os.utime(each, ns=(10**18, 10**18))
    found = Fingerprint.of(path)
    assert found.fits(longer)
    longer.write_bytes(b"content, and more")
    os.utime(longer, ns=(10**18, 10**18))
    os.utime(later, ns=(10**18, 10**18 + 10**9))
    assert found.fits(path)
    assert not found.fits(longer)
    assert not found.fits(later)
    assert len({fingerprint_text(each) for each in (path, longer, later)}) == 3


def test_a_file_that_is_not_there_fits_nothing_and_has_no_text(tmp_path):
    (tmp_path / "a").touch()
    found = Fingerprint.of(tmp_path / "a")
    (tmp_path / "a").unlink()
    assert not found.fits(tmp_path / "a")
    assert fingerprint_text(tmp_path / "a") == ""
    with pytest.raises(FileNotFoundError):
        Fingerprint.of(tmp_path / "a")


def test_the_text_does_not_have_the_path(tmp_path):
    (tmp_path / "a").write_bytes(b"content")
    assert str(tmp_path) not in fingerprint_text(tmp_path / "a")
