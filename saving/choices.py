"""What the drop-downs of save nodes offer."""

from __future__ import annotations

NEW_NAME, OVERWRITE, FAIL, SKIP = "new name", "overwrite", "fail", "skip"
IF_EXISTS = (NEW_NAME, OVERWRITE, FAIL, SKIP)

OBJECT_URL, PRESIGNED, NO_LINK = "object url", "presigned", "none"
LINKS = (OBJECT_URL, PRESIGNED, NO_LINK)

KEEP_AND_STOP, KEEP_AND_GO_ON, STOP = "keep and stop", "keep and go on", "stop"
ON_FAILURE = (KEEP_AND_STOP, KEEP_AND_GO_ON, STOP)
