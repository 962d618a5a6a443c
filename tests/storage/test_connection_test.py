from datetime import timedelta

import pytest
from cloud_storage import errors
from cloud_storage.storage import connection_test
from cloud_storage.storage.connection_test import ERROR, TEST_KEY_START, WARNING
from cloud_storage.system.meter import Meter


@pytest.fixture
def lines(fast_place, folder, monkeypatch):
    """``lines(may_write=…, setting=value, …)``: the report about a folder of the bucket."""

    def report(may_write=True, meter=None, **changes):
        for name, value in fast_place.settings({"path_prefix": folder, **changes}).items():
            monkeypatch.setenv(name, value)
        profile = fast_place.profile(path_prefix=folder, **changes)
        storage = fast_place.open(path_prefix=folder, **changes)
        return connection_test.lines(profile, storage, meter or Meter(), may_write=may_write)

    return report


def test_the_first_line_is_the_result_and_nothing_stays_in_the_bucket(lines, direct):
    report = lines()
    assert report[0].text.startswith("Profile")
    assert report[0].text.endswith(": works")
    assert report[0].level == ""
    assert not list(direct.list(TEST_KEY_START))


def test_a_profile_that_is_read_only_works_but_does_not_write(lines):
    report = lines(read_only="true")
    assert report[0].text.endswith("works, but not write")
    assert report[0].level == WARNING


def test_a_wrong_key_makes_the_result_an_error(lines):
    report = lines(secret_key="a-wrong-one")
    assert report[0].level == ERROR
    assert all(line.level == ERROR for line in report if line.text.startswith("✗"))
    assert not any("a-wrong-one" in line.text for line in report)


def test_a_look_writes_nothing(lines, direct):
    report = lines(may_write=False)
    assert "write" not in " ".join(line.text for line in report if line.text[:1] in "✓✗")
    assert not list(direct.list())


def test_cancel_ends_it(lines, direct):
    meter = Meter()
    meter.stop()
    with pytest.raises(errors.TransferCancelled):
        lines(meter=meter)
    assert not list(direct.list())


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(None, "unknown"), (1, "the same"), (30, "30 s ahead"), (-30, "30 s behind"), (3600, "NTP")],
)
def test_a_clock_that_is_off_is_named(seconds, said):
    difference = None if seconds is None else timedelta(seconds=seconds)
    assert said in connection_test._clock(difference)
