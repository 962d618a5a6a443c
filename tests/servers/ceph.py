"""Ceph's RADOS Gateway, a production S3 server, as one node in memory on loopback, for the contract tests.

One monitor, one store, one gateway, without manager, systemd, containers or cluster authentication. It checks
every signature, body and policy, but no region; an object belongs to the user who wrote it, not to the owner
of its bucket.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import urllib.error
import urllib.request
import uuid
from pathlib import Path
from typing import Any

from .certificates import certificates
from .processes import Processes, ServerFailed, ServerUnavailable, free_ports
from .s3_server import Keys, Policy, S3Server

PROGRAMS = ("ceph-mon", "ceph-osd", "radosgw", "radosgw-admin", "monmaptool", "osdmaptool")
HOW_TO_GET_IT = "On Debian or Ubuntu: apt-get install ceph-mon ceph-osd radosgw"
COMMAND_SECONDS = 60  # a command that cannot reach the monitor would wait for five minutes

# Where a setting differs from Ceph's own default, it is for one node that starts fast and is thrown away.
# paxos: a single monitor agrees with itself at once. ms mon client mode: radosgw asks for encrypted monitor
# traffic (src/rgw/rgw_main.cc), which needs the cluster authentication that is off here.
# objecter tick interval: what radosgw asks for before the store is up is asked for again only that often.
# pg num 1: eight pools on one store. chooseleaf 0: replicas may share a host, there is one anyway.
_CONFIGURATION = """
[global]
fsid = {cluster}
mon host = v2:127.0.0.1:{monitor_port}
mon initial members = a
public network = 127.0.0.0/8
cluster network = 127.0.0.0/8
public addr = 127.0.0.1
ms bind ipv6 = false
auth cluster required = none
auth service required = none
auth client required = none
ms mon client mode = crc
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon max pg per osd = 2000
mon data avail crit = 1
mon tick interval = 1
paxos propose interval = 0.02
paxos min wait = 0.01
run dir = {folder}
admin socket =
pid file =
crash dir = {folder}/crash
log file = {folder}/log-$name
[mon.a]
mon data = {folder}/mon
[osd.0]
osd data = {folder}/osd
osd objectstore = {store}
memstore device bytes = {store_bytes}
bluestore block size = {store_bytes}
bluestore fsck on mkfs = false
osd op num shards = 2
osd max object name len = 2048
osd max object namespace len = 256
[client.rgw]
objecter tick interval = 0.1
rgw data = {folder}/rgw
rgw frontends = beast {endpoints} ssl_certificate={certificate} ssl_private_key={key}
rgw dns name = s3.localhost
rgw thread pool size = 64
rgw run sync thread = false
rgw enable usage log = false
rgw dynamic resharding = false
rgw gc obj min wait = 5
rgw gc processor period = 20
"""


class CephRgw(S3Server):
    """``with CephRgw(folder) as server``: started in about a second; every signature and policy is checked.

    ``keys`` and ``other_keys`` belong to two users, neither of whom may touch the other's buckets.
    ``store_gibibytes`` is what fits; ``store`` is "memstore" or, to keep large objects out of memory and some
    seconds slower to start, "bluestore". The certificates are kept in ``folder``, which may be shared.
    """

    name = "Ceph RGW"
    region = "us-east-1"

    def __init__(self, folder: Path, store_gibibytes: int = 4, store: str = "memstore") -> None:
        self.certificates = certificates(folder)
        self.port, self.tls_port, self._monitor_port = free_ports(3)
        self._folder = folder / f"ceph-{self.port}"
        self._store, self._store_bytes = store, store_gibibytes << 30
        self._processes: Processes | None = None
        self._policy_keys: Keys | None = None

    @staticmethod
    def available() -> str:
        """Empty when Ceph is installed; else a sentence that says what is missing and how to get it."""
        missing = [program for program in PROGRAMS if shutil.which(program) is None]
        return f"Ceph RGW is not installed ({', '.join(missing)} missing). {HOW_TO_GET_IT}" if missing else ""

    def start(self) -> None:
        """Return when the gateway answers and both users exist. Raises ServerUnavailable, ServerFailed."""
        missing = self.available()
        if missing:
            raise ServerUnavailable(missing)
        self._processes = Processes(self._folder)
        cluster = str(uuid.uuid4())
        self._write_configuration(cluster)
        monitors, stores = str(self._folder / "monmap"), str(self._folder / "osdmap")
        address = f"[v2:127.0.0.1:{self._monitor_port}]"
        self._run("monmaptool", "--create", "--addv", "a", address, "--fsid", cluster, monitors)
        self._run("osdmaptool", "--createsimple", "1", stores)
        self._run("ceph-mon", "-i", "a", "--mkfs", "--monmap", monitors, "--osdmap", stores)
        self._start("ceph-mon", "-i", "a")
        self._run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", str(uuid.uuid4()), "--no-mon-config")
        self._start("ceph-osd", "-i", "0")
        self._start("radosgw", "-n", "client.rgw")
        self._processes.wait_until(self._ready, "Ceph RGW answers")
        self.keys = self._create_user("dev")
        self.other_keys = self._create_user("other")

    def stop(self) -> None:
        """End every process and remove every file. A second call does nothing."""
        if self._processes is not None:
            self._processes.stop()

    def create_user(self, policy: Policy | None = None) -> Keys:
        """The keys of a new user with ``policy`` inline; without one, nothing in others' buckets is allowed.

        Ceph lets every user create buckets and do everything in those, whatever the policy says.
        """
        name = f"user-{uuid.uuid4().hex[:12]}"
        keys = self._create_user(name)
        if policy is not None:
            if self._policy_keys is None:
                self._policy_keys = self._create_user("policies", "--caps", "user-policy=*")
            iam = self.client(self._policy_keys, service="iam")
            iam.put_user_policy(UserName=name, PolicyName="inline", PolicyDocument=json.dumps(policy))
        return keys

    def admin(self, *arguments: str) -> Any:
        """Run ``radosgw-admin``; returns what it printed as JSON, None when that was nothing."""
        said = self._run("radosgw-admin", "-n", "client.rgw", *arguments)
        return json.loads(said) if said.strip() else None

    def _create_user(self, name: str, *arguments: str) -> Keys:
        user = self.admin("user", "create", "--uid", name, "--display-name", name, *arguments)
        return Keys(user["keys"][0]["access_key"], user["keys"][0]["secret_key"])

    def _write_configuration(self, cluster: str) -> None:
        for data in ("mon", "osd", "rgw"):
            (self._folder / data).mkdir()
        text = _CONFIGURATION.format(
            cluster=cluster,
            folder=self._folder,
            monitor_port=self._monitor_port,
            store=self._store,
            store_bytes=self._store_bytes,
            endpoints=f"endpoint=127.0.0.1:{self.port} ssl_endpoint=127.0.0.1:{self.tls_port} tcp_nodelay=1",
            certificate=self.certificates.certificate,
            key=self.certificates.key,
        )
        (self._folder / "ceph.conf").write_text(text)

    def _run(self, program: str, *arguments: str) -> str:
        command = [program, "--conf", str(self._folder / "ceph.conf"), *arguments]
        try:
            done = subprocess.run(
                command, check=True, capture_output=True, text=True, timeout=COMMAND_SECONDS
            )
        except subprocess.CalledProcessError as error:
            raise ServerFailed(
                f"{' '.join(command)} ended with {error.returncode}: {error.stderr}"
            ) from error
        except subprocess.TimeoutExpired as error:
            raise ServerFailed(f"{' '.join(command)} did not end within {COMMAND_SECONDS} s") from error
        return done.stdout

    def _start(self, program: str, *arguments: str) -> None:
        if self._processes is not None:
            self._processes.start(program, [program, "--conf", self._folder / "ceph.conf", "-f", *arguments])

    def _ready(self) -> bool:
        try:
            with urllib.request.urlopen(self.endpoint_url, timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False
