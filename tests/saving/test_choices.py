"""What drop-downs of save nodes offer: the safe choice first, and every node offers the same list."""

from __future__ import annotations

import cloud_storage
import pytest
from cloud_storage.saving import choices

LISTS = {"if_exists": choices.IF_EXISTS, "link": choices.LINKS, "on_failure": choices.ON_FAILURE}
SAFE = {"if_exists": "new name", "link": "object url", "on_failure": "keep and stop"}


@pytest.mark.parametrize("name", LISTS)
def test_every_node_that_has_the_drop_down_offers_this_list_with_the_safe_choice_first(name):
    assert LISTS[name][0] == SAFE[name]
    offered = [
        inputs[name][0]
        for node in cloud_storage.NODE_CLASS_MAPPINGS.values()
        for inputs in node.INPUT_TYPES().values()
        if name in inputs
    ]
    assert len(offered) >= 3
    assert all(tuple(each) == LISTS[name] for each in offered)
