from __future__ import annotations

from datetime import datetime, timezone

from cloud_storage.library import catalogue_file
from cloud_storage.library.catalogue_file import Listing
from cloud_storage.storage.base import ObjectInfo

NOW = datetime(2026, 11, 28, 12, tzinfo=timezone.utc)


def test_listings_come_back_as_they_were(tmp_path):
    objects = (
        ObjectInfo("models/loras/ä.safetensors", 2**40, '"e"', NOW, sha256="a" * 64),
        ObjectInfo("models/vae/b.pt", 0, "", None),
    )
    file = tmp_path / "folder" / catalogue_file.FILE_NAME
    catalogue_file.write(file, {"place": Listing(NOW, objects)})
    assert catalogue_file.read(file) == {"place": Listing(NOW, objects)}


def test_a_disk_that_takes_nothing_is_logged_and_no_error(tmp_path, caplog):
    (tmp_path / "folder").write_text("a file")
    catalogue_file.write(tmp_path / "folder" / "x.json", {})
    assert "could not be written" in caplog.text
