"""What comes from an instance's metadata; requests signed with it are in test_storage.py."""

import json
from datetime import datetime, timedelta, timezone

import pytest
from cloud_storage import errors
from cloud_storage.storage.oss.ram_role import RENEW_SECONDS, RamRole


class Role(RamRole):
    """A role whose metadata server answers with what the test says."""

    def __init__(self, lifetime):
        super().__init__(lambda *keys: keys)
        self.lifetime, self.asked, self.fails = lifetime, 0, False

    def _fetch(self):
        self.asked += 1
        if self.fails:
            raise OSError("no route")
        until = datetime.now(timezone.utc) + timedelta(seconds=self.lifetime)
        return self._keys("id", "secret", json.dumps(self.asked)), until.timestamp()


def test_credentials_are_kept_until_shortly_before_they_expire():
    role = Role(RENEW_SECONDS + 3600)
    assert role.get_credentials() == role.get_credentials() == ("id", "secret", "1")
    soon = Role(RENEW_SECONDS - 60)
    assert soon.get_credentials() != soon.get_credentials()


def test_credentials_that_still_hold_are_used_while_the_metadata_is_away():
    role = Role(RENEW_SECONDS - 60)
    held = role.get_credentials()
    role.fails = True
    assert role.get_credentials() == held
    role._expires = 0
    with pytest.raises(errors.AccessDenied, match=r"no route\. Attach a RAM role"):
        role.get_credentials()
