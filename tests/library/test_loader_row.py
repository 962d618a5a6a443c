from __future__ import annotations

from cloud_storage.library.loader_row import ENTRIES, Loader, rows


def test_rows_share_their_source_and_a_type_may_stand_alone():
    one, two = rows("a file", ("Node", "a", "loras"), ("Node", "b_*", ("vae", "vae_approx")), kind=ENTRIES)
    assert one == Loader("Node", "a", ("loras",), ENTRIES, source="a file")
    assert two.types == ("vae", "vae_approx")
    assert two.fits("b_1")
    assert not two.fits("bb_1")
    assert not one.fits("a.")
