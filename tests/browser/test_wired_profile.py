"""What the page repeats of the server's settings, compared with them."""

from __future__ import annotations

import json
import re

from cloud_storage.config import profiles_file, settings
from conftest import ROOT


def constant(name: str, module: str = "wired_profile.js"):
    source = (ROOT / "web" / module).read_text(encoding="utf-8")
    return json.loads(re.search(rf"^(?:export )?const {name} = (.+?)(?: //.*)?$", source, re.MULTILINE)[1])


def test_the_page_knows_the_settings_that_a_profile_node_may_override():
    widgets = {name for name, row in settings.SETTINGS.items() if row.widget}
    assert set(constant("SETTINGS")) == {"profile", *widgets}


def test_the_page_knows_the_values_that_stand_for_no_setting():
    assert constant("FROM_PROFILE") == settings.FROM_PROFILE
    assert constant("ENVIRONMENT", "profile_names.js") == profiles_file.ENVIRONMENT
