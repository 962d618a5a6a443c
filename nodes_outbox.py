"""The node that sends the files of the outbox."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from . import node_inputs
from .comfyui import folders, results
from .comfyui.progress import Progress
from .saving import outbox_sender
from .saving.outbox import Entry, Outbox
from .system.meter import Meter
from .system.watch import run_in_thread

if TYPE_CHECKING:
    from .profile import Profile


class RetryPendingUploads:
    """Send the files that wait in the outbox, and report on each."""

    CATEGORY, FUNCTION, OUTPUT_NODE = "cloud_storage/save", "retry", True
    RETURN_TYPES, RETURN_NAMES = ("INT", "INT", "STRING"), ("sent", "left", "report")
    DESCRIPTION = (
        "Uploads the files that wait in the outbox because an earlier upload failed, oldest first. An "
        "existing object is replaced only if overwrite was chosen and the object is older."
    )
    OUTPUT_TOOLTIPS = (
        "How many files were uploaded.",
        "How many files are still waiting.",
        "One line for each file: its key, or why it is still waiting.",
    )
    SEARCH_ALIASES = ("outbox", "resend", "pending uploads", "offline", "重试上传")

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        tooltip = "Upload only files that were saved through this profile. Not connected: all waiting files."
        return {
            "optional": {"profile": ("S3_PROFILE", {"tooltip": tooltip})},
            "hidden": node_inputs.UNIQUE_ID,
        }

    @classmethod
    def IS_CHANGED(cls, profile: Profile | None = None, unique_id: str | None = None) -> str:
        """Another value each time: the outbox is not among the inputs."""
        return uuid.uuid4().hex

    async def retry(self, profile: Profile | None = None, unique_id: str | None = None) -> dict[str, Any]:
        meter, progress = Meter(), Progress(unique_id, "Uploaded")

        file = folders.profiles_file()

        def wanted(entry: Entry) -> bool:
            return profile is None or outbox_sender.settled(entry.sender, file) == outbox_sender.sender(
                profile, file
            )

        def send() -> outbox_sender.Report:
            own = Outbox(folders.outbox_folder())
            earlier = Outbox(folders.earlier_outbox_folder(), is_own=False)
            report = outbox_sender.send(own, file, wanted, meter, progress.text)
            return report + outbox_sender.send(earlier, file, wanted, meter, progress.text)

        report = await run_in_thread(send, meter, progress)
        progress.text(str(report))
        return results.shown((report.sent, report.left, str(report)), str(report).splitlines(), report.files)


NODE_CLASS_MAPPINGS = {"RetryPendingUploads": RetryPendingUploads}
NODE_DISPLAY_NAME_MAPPINGS = {"RetryPendingUploads": "Retry Pending Uploads"}
