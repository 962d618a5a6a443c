"""Requests for the next free counter among 10, 1,000 and 100,000 existing files: at most 40 cold, 1 warm.

"cold" is the search of a process that has not saved there yet, without the PUT itself. "warm" is everything
that its next save sends, the PUT included. "overtaken" is everything a warm process sends when another
machine has saved 100 files meanwhile. By default the files are in memory and listed as S3 lists them.
--server puts them on a server on this machine (Ceph RGW where its packages are installed, MiniStack
otherwise) and counts what boto3 sends; that takes some minutes for 100,000. Usage: python
benchmarks/counter.py [--server] [--ministack] [--files 10 1000 100000]
"""

from __future__ import annotations

import argparse
import bisect
import contextlib
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from package import PROFILES_FILE, load_package

load_package()

from cloud_storage import profile
from cloud_storage.errors import AlreadyExists
from cloud_storage.saving.counter import PAGE_KEYS, CounterMemory, Series
from cloud_storage.saving.names import Name
from cloud_storage.storage import connect
from cloud_storage.storage.base import PutOptions
from cloud_storage.system.meter import Meter
from servers.ceph import CephRgw
from servers.ministack import MiniStack

MOST_COLD, MOST_WARM = 40, 1
THREADS = 16
REPORT_EVERY = 10_000


class InMemory:
    """Sorted keys with S3's listing: by prefix, after a key, PAGE_KEYS a request."""

    name = "in memory"

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.requests = 0

    def fill(self, keys: list[str]) -> None:
        self.keys = sorted({*self.keys, *keys}, key=str.encode)

    def list_after(self, prefix: str, after: str, limit: int | None) -> list[str]:
        begin = max(bisect.bisect_right(self.keys, after), bisect.bisect_left(self.keys, prefix))
        found = [
            key
            for key in self.keys[begin : None if limit is None else begin + limit]
            if key.startswith(prefix)
        ]
        self.requests += max(1, -(-len(found) // PAGE_KEYS))
        return found

    def create(self, key: str) -> None:
        self.requests += 1
        place = bisect.bisect_left(self.keys, key)
        if self.keys[place : place + 1] == [key]:
            raise AlreadyExists(key)
        self.keys.insert(place, key)


class OnServer:
    """A bucket on a real server, opened the way users open one; counts the HTTP requests of its client."""

    def __init__(self, server: CephRgw | MiniStack) -> None:
        self.name, self.requests = server.name, 0
        self._client, self._bucket = server.client(max_pool_connections=THREADS), server.create_bucket()
        environ = {
            "COMFY_S3_PROVIDER": "Custom",
            "COMFY_S3_ENDPOINT_URL": server.endpoint_url,
            "COMFY_S3_REGION": server.region,
            "COMFY_S3_BUCKET": self._bucket,
            "COMFY_S3_ACCESS_KEY": server.keys.access_key,
            "COMFY_S3_SECRET_KEY": server.keys.secret_key,
        }
        self._storage = connect.connect(profile.resolve("", {}, PROFILES_FILE, environ), environ)
        self._storage._client.meta.events.register("before-send.s3", self._count)

    def _count(self, **_: object) -> None:
        self.requests += 1

    def fill(self, keys: list[str]) -> None:
        def put(number: int) -> None:
            self._client.put_object(Bucket=self._bucket, Key=keys[number], Body=b"")
            if number and number % REPORT_EVERY == 0:
                print(f"  {number} of {len(keys)} files created", file=sys.stderr, flush=True)

        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(put, range(len(keys))))

    def list_after(self, prefix: str, after: str, limit: int | None) -> Iterator[str]:
        return (info.key for info in self._storage.list(prefix, limit, after))

    def create(self, key: str) -> None:
        self._storage.put(key, b"", PutOptions(), Meter(), create=True)


def save(bucket: InMemory | OnServer, counters: CounterMemory, name: Name) -> str:
    """One save with ``new name``, as the nodes do it."""
    series = Series(bucket.name, name.head, name.first_number)
    taken = 0
    while True:
        taken = counters.reserve(series, bucket.list_after, taken=taken)[0]
        with contextlib.suppress(AlreadyExists):
            bucket.create(name.numbered(taken))
            return name.numbered(taken)


def measure(bucket: InMemory | OnServer, files: int) -> tuple[int, int, int, float]:
    """Requests cold, warm and overtaken, and the milliseconds of the cold search."""

    def requests_of_a_save(expected: int) -> int:
        before = bucket.requests
        assert save(bucket, counters, name) == name.numbered(expected)
        return bucket.requests - before

    name = Name((f"images-{files}/ComfyUI_", ""), ".png")
    bucket.fill([name.numbered(number) for number in range(1, files + 1)])
    before, began = bucket.requests, time.perf_counter()
    assert CounterMemory().reserve(Series(bucket.name, name.head), bucket.list_after)[0] == files + 1
    cold, milliseconds = bucket.requests - before, (time.perf_counter() - began) * 1000

    counters = CounterMemory()
    requests_of_a_save(files + 1)
    warm = requests_of_a_save(files + 2)
    bucket.fill([name.numbered(number) for number in range(files + 3, files + 103)])
    return cold, warm, requests_of_a_save(files + 103), milliseconds


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--server", action="store_true", help="on a real server; takes minutes")
    parser.add_argument(
        "--ministack", action="store_true", help="with --server, even where Ceph is installed"
    )
    parser.add_argument("--files", type=int, nargs="+", default=[10, 1_000, 100_000])
    options = parser.parse_args()

    with ExitStack() as stack:
        bucket: InMemory | OnServer = InMemory()
        if options.server:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            kind = CephRgw if CephRgw.available() == "" and not options.ministack else MiniStack
            bucket = OnServer(stack.enter_context(kind(folder)))
        print(f"Requests for the next free counter, {bucket.name}")
        print("    files   cold   warm   overtaken   cold ms")
        missed = False
        for files in options.files:
            cold, warm, overtaken, milliseconds = measure(bucket, files)
            print(f"{files:9,} {cold:6} {warm:6} {overtaken:11} {milliseconds:9.1f}", flush=True)
            missed |= cold > MOST_COLD or warm > MOST_WARM
    verdict = "missed" if missed else "met"
    print(f"{verdict}: at most {MOST_COLD} cold and {MOST_WARM} warm")
    sys.exit(missed)


if __name__ == "__main__":
    main()
