"""MiniStack, an S3, IAM and STS server in memory, for everyday tests and the try-out.

It runs in a virtual environment of its own because it pins botocore. With ``auth`` it checks signatures,
expiry, policies and tokens of IAM users; the key id ``test`` and every id of twelve digits remain root and
unchecked.

More lenient than AWS, it takes any region in a signature, a body other than the signed one, parts below 5 MiB
and keys above 1,024 bytes, and says 404 of a missing object to who may not list.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
import uuid
import venv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .certificates import certificates
from .processes import Processes, ServerUnavailable, free_ports
from .s3_server import ALLOW_ALL, Keys, Policy, S3Server

VERSION = "1.5.33"
EXECUTABLE_VARIABLE = "CLOUD_STORAGE_MINISTACK"  # names a `ministack` executable to use instead
VENVS_VARIABLE = "CLOUD_STORAGE_VENVS"  # names the folder that virtual environments are made in

_ROOT_KEYS = Keys("test", "test")
_BIN, _PYTHON = ("Scripts", "python.exe") if sys.platform == "win32" else ("bin", "python")


def say(message: str) -> None:
    """Print a progress line past pytest's capture."""
    print(message, file=sys.__stderr__, flush=True)


def ministack_python(progress: Callable[[str], None] = say) -> Path:
    """The interpreter of an environment that has MiniStack; made on first use, which takes some ten seconds.

    Raises ServerUnavailable with the reason and what to do.
    """
    named = os.environ.get(EXECUTABLE_VARIABLE)
    if named:
        python = Path(named).parent / _PYTHON
        if not Path(named).is_file() or not python.is_file():
            raise ServerUnavailable(
                f"{EXECUTABLE_VARIABLE} is {named!r}, which is no `ministack` of a virtual environment. "
                "Correct it, or unset it to have one made."
            )
        return python
    root = Path(__file__).resolve().parent.parent.parent
    home = Path(os.environ.get(VENVS_VARIABLE) or root / ".venvs") / "ministack"
    python = home / _BIN / _PYTHON
    complete = home / f"ministack-{VERSION}"
    if not complete.is_file():
        with _alone(home.with_name("ministack.lock")):
            if not complete.is_file():
                progress(f"Installing MiniStack {VERSION} into {home} (once, some ten seconds) ...")
                _install(home, python)
                complete.touch()
    return python


def _install(home: Path, python: Path) -> None:
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    try:
        venv.EnvBuilder(clear=True, symlinks=sys.platform != "win32", with_pip=True).create(home)
        subprocess.run([*pip, f"ministack=={VERSION}"], check=True, capture_output=True, text=True)
    except (subprocess.CalledProcessError, OSError) as error:
        said = str(getattr(error, "stderr", None) or error).strip().splitlines()[-1]
        raise ServerUnavailable(
            f"MiniStack {VERSION} could not be installed into {home}: {said}. Check the network and that "
            f"Python's venv module is there (Debian: apt-get install python3-venv), or name an installed one "
            f"in {EXECUTABLE_VARIABLE}."
        ) from error


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Hold a lock between processes: of several runs that start at once, one installs, the others wait."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
        yield


class MiniStack(S3Server):
    """``with MiniStack(folder) as server``: in memory, on loopback, started within a second.

    With ``auth``, ``keys`` belong to an IAM user who may do everything in S3, so that every signature is
    checked; without, ``keys`` are ``test``/``test`` and nothing is. With ``persistent``, which is for servers
    without ``auth``, objects are on the disk and outlive a ``restart``. The certificates are kept in
    ``folder``, which may be shared.
    """

    name = "MiniStack"
    region = "us-east-1"

    def __init__(self, folder: Path, auth: bool = True, persistent: bool = False) -> None:
        self.auth, self.persistent = auth, persistent
        self.certificates = certificates(folder)
        self.port, self.tls_port = free_ports(2)
        self.keys = _ROOT_KEYS
        self._folder = folder / f"ministack-{self.port}"
        self._processes: Processes | None = None

    def start(self) -> None:
        """Return when the server answers and the user exists. Raises ServerUnavailable, ServerFailed."""
        self._processes = Processes(self._folder)
        self._run(self._processes)
        if self.auth:
            self.keys = self.create_user(ALLOW_ALL)

    def restart(self) -> None:
        """Kill the server and return when a new one answers in its place, with the same objects."""
        if self._processes is not None:
            self._processes.kill("ministack")
            self._run(self._processes)

    def _run(self, processes: Processes) -> None:
        python = ministack_python()
        # Its own `ministack` command would serve http or https, and for https also take port 443; the server
        # it is built on does both at once. No worker processes: with one, killing this one would leave it
        # running.
        command: list[str | Path] = [
            python,
            "-m",
            "hypercorn",
            "ministack.app:app",
            "--workers",
            "0",
            "--log-level",
            "WARNING",
        ]
        command += ["--insecure-bind", f"127.0.0.1:{self.port}", "--bind", f"127.0.0.1:{self.tls_port}"]
        command += ["--certfile", self.certificates.certificate, "--keyfile", self.certificates.key]
        command += ["--keep-alive", "75", "--backlog", "1024"]
        processes.start("ministack", command, self._environment())
        processes.wait_until(self._ready, "MiniStack answers")

    def stop(self) -> None:
        """End the process and remove its files. A second call does nothing."""
        if self._processes is not None:
            self._processes.stop()

    def create_user(self, policy: Policy | None = None) -> Keys:
        """The keys of a new IAM user with ``policy`` inline; without one, the user may do nothing."""
        name = f"user-{uuid.uuid4().hex[:12]}"
        iam = self.client(_ROOT_KEYS, service="iam")
        iam.create_user(UserName=name)
        if policy is not None:
            iam.put_user_policy(UserName=name, PolicyName="inline", PolicyDocument=json.dumps(policy))
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return Keys(key["AccessKeyId"], key["SecretAccessKey"])

    def temporary_keys(self, policy: Policy | None = None, seconds: int = 3600) -> Keys:
        """Keys with a session token, from GetSessionToken, of a new user with ``policy`` (default: everything
        in S3).

        A negative number of seconds gives a token that is already expired.
        """
        keys = self.create_user(policy if policy is not None else ALLOW_ALL)
        sts = self.client(
            keys, service="sts", parameter_validation=False
        )  # boto3 asks for 900 seconds at least
        answer = sts.get_session_token(DurationSeconds=seconds)["Credentials"]
        return Keys(answer["AccessKeyId"], answer["SecretAccessKey"], answer["SessionToken"])

    def assumed_keys(self, policy: Policy, seconds: int = 3600) -> Keys:
        """Keys with a session token, from AssumeRole, of a new role that may do what ``policy`` says."""
        name = f"role-{uuid.uuid4().hex[:12]}"
        iam = self.client(_ROOT_KEYS, service="iam")
        trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": "*"}}
        role = iam.create_role(
            RoleName=name,
            AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
        )["Role"]
        iam.put_role_policy(RoleName=name, PolicyName="inline", PolicyDocument=json.dumps(policy))
        sts = self.client(_ROOT_KEYS, service="sts", parameter_validation=False)
        answer = sts.assume_role(RoleArn=role["Arn"], RoleSessionName="session", DurationSeconds=seconds)[
            "Credentials"
        ]
        return Keys(answer["AccessKeyId"], answer["SecretAccessKey"], answer["SessionToken"])

    def disable(self, keys: Keys) -> None:
        """Make a user's keys inactive."""
        iam = self.client(_ROOT_KEYS, service="iam")
        user = iam.get_access_key_last_used(AccessKeyId=keys.access_key)["UserName"]
        iam.update_access_key(UserName=user, AccessKeyId=keys.access_key, Status="Inactive")

    def _environment(self) -> dict[str, str]:
        ours = ("AWS_", "MINISTACK_", "LOCALSTACK_", "S3_", "PYTHON")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        return environment | {
            "AUTH": "true" if self.auth else "false",
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(self.port),
            "SERVICES": "s3,iam,sts",
            "DOCKER_HOST": "",
            "IOT_MTLS_ENABLED": "0",
            "LOG_LEVEL": "WARNING",
            "PERSIST_STATE": "0",
            "S3_PERSIST": "1" if self.persistent else "0",
            "STATE_DIR": str(self._folder / "state"),
            "S3_DATA_DIR": str(self._folder / "s3"),
        }

    def _ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.endpoint_url}/_ministack/ready", timeout=1) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False
