"""What web/wired_profile.js repeats of the server's settings, compared with them."""

from __future__ import annotations

import json
import re

from cloud_storage.config import profiles_file, settings
from conftest import ROOT

SOURCE = (ROOT / "web" / "wired_profile.js").read_text(encoding="utf-8")


def constant(name: str):
    return json.loads(re.search(rf"^const {name} = (.+?)(?: //.*)?$", SOURCE, re.MULTILINE)[1])


def test_the_page_knows_the_settings_that_a_profile_node_may_override():
    widgets = {name for name, row in settings.SETTINGS.items() if row.widget}
    assert set(constant("SETTINGS")) == {"profile", *widgets}


def test_the_page_knows_the_values_that_stand_for_no_setting():
    assert constant("FROM_PROFILE") == settings.FROM_PROFILE
    assert constant("ENVIRONMENT") == profiles_file.ENVIRONMENT
