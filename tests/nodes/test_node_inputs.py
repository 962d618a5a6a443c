"""Inputs that several nodes share: each offers what the code behind it accepts."""

from __future__ import annotations

import pytest
from cloud_storage import node_inputs
from cloud_storage.errors import ConfigurationError
from cloud_storage.media.damage import ON_DAMAGE
from cloud_storage.saving import choices


class Bucket:
    room_for_key = 10


def test_drop_downs_offer_every_choice():
    for widget, offered in (
        (node_inputs.IF_EXISTS, choices.IF_EXISTS),
        (node_inputs.LINK, choices.LINKS),
        (node_inputs.ON_FAILURE, choices.ON_FAILURE),
        (node_inputs.ON_DAMAGE, ON_DAMAGE),
    ):
        assert widget[0] == list(offered)
        assert widget[1]["tooltip"].endswith(".")


def test_a_number_begins_at_the_least_one():
    kind, options = node_inputs.count("So many.", most=5, least=2)
    assert (kind, options["default"], options["min"], options["max"]) == ("INT", 2, 2, 5)
    assert node_inputs.seconds("So long.")[1]["min"] == 0


@pytest.mark.parametrize("bad", ["", "a" * 11])
def test_a_key_has_to_fit_its_bucket(bad):
    assert node_inputs.key_for(Bucket(), "a/b.png") == "a/b.png"
    with pytest.raises(ConfigurationError):
        node_inputs.key_for(Bucket(), bad)
