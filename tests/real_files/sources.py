"""Files that others made: the test suites inside source distributions, fetched with pip and unpacked.

exifread 3.5.1 and tinytag 2.3.2 were looked at too: their distributions hold no files any more.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Source:
    """A distribution, what its archive must be, and the folder in it that holds the files."""

    name: str
    version: str
    sha256: str
    folder: str

    @property
    def home(self) -> str:
        return f"{self.name}-{self.version}"


SOURCES = (
    Source(
        "pillow",
        "13.0.0",
        "cdcd1ba258178f7356d74170c9a81ba4eab6a5d55748bc402a5a2a6fe6be3510",
        "Tests/images",
    ),
    Source(
        "mutagen",
        "1.48.1",
        "8f95637ab9f6f305cec6bd1294e197debe207998e3e068596563c74f86b0a173",
        "tests/data",
    ),
    Source(
        "hachoir",
        "3.4.0",
        "7f88018d58ef42b5dcd8ff51f2a6191abf3ade38eee8da11acd93f5a7d9cf8f8",
        "tests/files",
    ),
    Source(
        "puremagic",
        "1.30",
        "f9ff7ac157d54e9cf3bff1addfd97233548e75e685282d84ae11e7ffee1614c9",
        "test/resources",
    ),
    Source(
        "filetype",
        "1.2.0",
        "66b56cd6474bf41d8c54660347d37afcc3f7d1970648de365c102ef77548aadb",
        "tests/fixtures",
    ),
    Source(
        "pymediainfo",
        "7.0.1",
        "0d5df59ecc615e24c56f303b8f651579c6accab7265715e5d429186d7ba21514",
        "tests/data",
    ),
)
ONLY_IMAGES = "pillow"  # its files are not tried as sounds and films


def cache() -> Path:
    """The folder of the files: beside the environments, and like them made once."""
    return Path(os.environ.get("CLOUD_STORAGE_VENVS", ROOT / ".venvs")) / "real_files"


def files(source: Source) -> list[Path]:
    """The files of a distribution, fetched where they are not there yet."""
    home = cache() / source.home
    if not home.is_dir():
        _fetch(source, home)
    return sorted(path for path in home.rglob("*") if path.is_file())


def _fetch(source: Source, home: Path) -> None:
    home.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home.parent) as work:
        wanted = Path(work, "requirements.txt")
        pinned = f"{source.name}=={source.version} --hash=sha256:{source.sha256}\n"
        wanted.write_text(pinned, encoding="ascii")
        options = ["--no-deps", "--no-binary", ":all:", "--require-hashes", "--quiet"]
        command = [sys.executable, "-m", "pip", "download", *options, "--dest", work, "-r", str(wanted)]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
        (archive,) = Path(work).glob("*.tar.gz")
        unpacked = Path(work, "unpacked")
        _unpack(archive, f"{source.home}/{source.folder}/", unpacked)
        unpacked.rename(home)


def _unpack(archive: Path, folder: str, target: Path) -> None:
    """The regular files below a folder of the archive; nothing else of it, and nothing outside ``target``."""
    with tarfile.open(archive) as packed:
        for member in packed:
            name = member.name.removeprefix(folder)
            if not member.isfile() or name == member.name or ".." in PurePosixPath(name).parts:
                continue
            path = target / name
            if not path.resolve().is_relative_to(target.resolve()):
                continue
            content = packed.extractfile(member)
            assert content is not None
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:
                shutil.copyfileobj(content, file)
