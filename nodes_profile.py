"""Nodes that choose a profile for other nodes, and test it."""

from __future__ import annotations

import contextlib
import hashlib
import uuid
from typing import Any

from . import node_inputs, providers
from .comfyui import folders, results
from .comfyui.node_lines import Line
from .comfyui.progress import Progress
from .config.profiles_file import ENVIRONMENT, FILE_NAME
from .config.settings import FROM_PROFILE, profile_names
from .errors import ConfigurationError
from .profile import Profile, fingerprint, resolve
from .storage import connect, connection_test
from .system.meter import Meter
from .system.watch import run_in_thread


class CloudStorageProfile:
    """Chooses one of the server's profiles; its output has settings, never a secret."""

    CATEGORY, FUNCTION = "cloud_storage", "choose"
    RETURN_TYPES, RETURN_NAMES = ("S3_PROFILE",), ("profile",)
    DESCRIPTION = (
        "Chooses the bucket that connected nodes use. Access keys are configured on the server, never here."
    )
    OUTPUT_TOOLTIPS = ("Connect it to the profile input of the cloud storage nodes.",)
    SEARCH_ALIASES = ("s3", "bucket", "oss", "r2", "minio", "credentials", "云存储")

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "profile": (
                    profile_names(folders.profiles_file()),
                    {
                        "tooltip": "The profile of profiles.json on the server to use, for "
                        "example mine. (env vars): the COMFY_S3_… environment variables or, if "
                        "they set no bucket, the default profile."
                    },
                )
            },
            "optional": {
                "provider": (
                    [FROM_PROFILE, *providers.names()],
                    {
                        "tooltip": "Use another provider than the profile's, for example MinIO. The "
                        "profile's region and endpoint are then ignored."
                    },
                ),
                "bucket": node_inputs.text_input(
                    "Use another bucket than the profile's, for example my-bucket."
                ),
                "path_prefix": node_inputs.text_input(
                    "Use another folder of the bucket for all objects, for example team/a/."
                ),
                "region": node_inputs.text_input(
                    "Use another region than the profile's, for example eu-central-1."
                ),
            },
        }

    @classmethod
    def VALIDATE_INPUTS(cls, profile: str | None = None, provider: str | None = None) -> bool:
        """Accept unknown names: the error of the node names the known ones and the file."""
        return True

    @classmethod
    def IS_CHANGED(
        cls,
        profile: str | None = None,
        provider: str = "",
        bucket: str = "",
        path_prefix: str = "",
        region: str = "",
    ) -> str:
        """A text that changes with profiles.json, the environment and the secret, and reveals none."""
        try:
            return fingerprint(_resolved(profile, provider, bucket, path_prefix, region))
        except ConfigurationError as error:
            return hashlib.sha256(str(error).encode()).hexdigest()[:16]

    def choose(
        self,
        profile: str = ENVIRONMENT,
        provider: str = FROM_PROFILE,
        bucket: str = "",
        path_prefix: str = "",
        region: str = "",
    ) -> tuple[Profile] | dict[str, Any]:
        found = _resolved(profile, provider, bucket, path_prefix, region)
        connect.begin(found)
        if found.name == (profile or ENVIRONMENT):
            return (found,)
        words = f"No bucket is set in the environment, so the profile {found.name} of {FILE_NAME} is used."
        return results.shown((found,), [words])


class TestCloudConnection:
    """Tests what a profile may do in its bucket, and shows a report."""

    CATEGORY, FUNCTION, OUTPUT_NODE = "cloud_storage", "test", True
    RETURN_TYPES, RETURN_NAMES = ("STRING",), ("report",)
    DESCRIPTION = (
        "Lists, writes, reads and deletes a small test object below the path_prefix and reports what works."
    )
    OUTPUT_TOOLTIPS = ("The report, with one line for each check. It contains no access keys.",)
    SEARCH_ALIASES = ("s3 test", "check bucket", "diagnose", "连接测试")

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"optional": {"profile": node_inputs.PROFILE}, "hidden": node_inputs.UNIQUE_ID}

    @classmethod
    def IS_CHANGED(cls, profile: None = None, unique_id: str | None = None) -> str:
        """Never the same: every queued test is run."""
        return uuid.uuid4().hex

    async def test(self, profile: Profile | None = None, unique_id: str | None = None) -> dict[str, Any]:
        meter, progress = Meter(), Progress(unique_id, "Tested")

        def try_everything() -> list[Line]:
            used = profile or resolve(ENVIRONMENT, {}, folders.profiles_file())
            return [Line(*line) for line in connection_test.lines(used, connect.connect(used), meter)]

        lines = await run_in_thread(try_everything, meter, progress)
        report = "\n".join(map(str, lines))
        progress.text(report)
        return results.shown((report,), lines)


def connect_ahead() -> None:
    """Begin to connect the profile of nodes without one, if one is configured: importing an SDK takes longer
    than a first request, and the first node that needs it would wait.
    """
    with contextlib.suppress(ConfigurationError):
        connect.begin(_resolved(ENVIRONMENT, "", "", "", ""))


def _resolved(profile: str | None, provider: str, bucket: str, path_prefix: str, region: str) -> Profile:
    overrides = {"provider": provider, "bucket": bucket, "path_prefix": path_prefix, "region": region}
    return resolve(profile or ENVIRONMENT, overrides, folders.profiles_file())


NODE_CLASS_MAPPINGS = {
    "CloudStorageProfile": CloudStorageProfile,
    "TestCloudConnection": TestCloudConnection,
}
NODE_DISPLAY_NAME_MAPPINGS = {
    "CloudStorageProfile": "Cloud Storage Profile",
    "TestCloudConnection": "Test Cloud Connection",
}
