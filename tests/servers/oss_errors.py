"""What OSS answers when it refuses: status, code, message, and the EC that names the exact cause.

Codes and messages are those of help.aliyun.com/en/oss/user-guide/http-status-code-403 (and -400, -404, -409,
-412, -416); each EC has a page of its own beside them. Where no page gives the sentence or the EC, the
sentence is this file's and the EC is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

Details = Mapping[str, "str | Mapping[str, str]"]


@dataclass(frozen=True)
class Refusal:
    """One row of the tables below."""

    status: int
    code: str
    message: str
    ec: str = ""

    def because(self, **details: str | Mapping[str, str]) -> OssRefused:
        """The exception to raise; ``details`` become further elements of the error document."""
        return OssRefused(self, details)


class OssRefused(Exception):
    """A request is refused; the server turns it into the error document."""

    def __init__(self, refusal: Refusal, details: Details) -> None:
        super().__init__(f"{refusal.status} {refusal.code}: {refusal.message}")
        self.refusal = refusal
        self.details = details


# --- Who asks ---
UNSUPPORTED_AUTHORIZATION = Refusal(400, "InvalidArgument", "Unsupported Authorization Type", "0002-00000061")
INVALID_AUTHORIZATION = Refusal(400, "InvalidArgument", "Authorization header is invalid.", "0002-00000062")
INVALID_CREDENTIAL = Refusal(
    400, "InvalidArgument", "Invalid credential in Authorization header.", "0002-00000213"
)
# Aliyun's own SDKs correct their clock on this very sentence, as on RequestTimeTooSkewed: OSS says it when
# the signing day is another one.
INVALID_SIGNING_DATE = Refusal(
    400, "InvalidArgument", "Invalid signing date in Authorization header.", "0002-00000212"
)
INVALID_SIGNING_REGION = Refusal(
    400, "InvalidArgument", "Invalid signing region in Authorization header.", "0002-00000226"
)
INVALID_SIGNING_PRODUCT = Refusal(
    400, "InvalidArgument", "Invalid signing product in Authorization header.", "0002-00000227"
)
INVALID_CONTENT_SHA256 = Refusal(
    400, "InvalidArgument", "x-oss-content-sha256 must be UNSIGNED-PAYLOAD.", "0002-00000214"
)
INVALID_ADDITIONAL_HEADERS = Refusal(
    400, "InvalidArgument", "An additional header is not in the request.", "0002-00000077"
)
MISSING_QUERY_SIGNATURE = Refusal(
    403,
    "AccessDenied",
    "Query-string authentication requires the Signature, Expires and OSSAccessKeyId parameters",
    "0002-00000067",
)
MISSING_QUERY_FIELD = Refusal(400, "InvalidArgument", "A parameter of the signed URL is missing or empty.")
INVALID_QUERY_CREDENTIAL = Refusal(400, "InvalidArgument", "x-oss-credential is invalid.", "0002-00000224")
INVALID_QUERY_DATE = Refusal(400, "InvalidArgument", "x-oss-date is invalid.", "0002-00000223")
INVALID_QUERY_REGION = Refusal(
    400, "InvalidArgument", "Invalid signing region in x-oss-credential.", "0002-00000228"
)
INVALID_QUERY_EXPIRES = Refusal(400, "InvalidArgument", "x-oss-expires is out of range.", "0002-00000232")
INVALID_EXPIRES = Refusal(
    403, "AccessDenied", "Invalid date (should be seconds since epoch).", "0002-00000070"
)
HEADER_AND_QUERY_DIFFER = Refusal(
    400, "InvalidArgument", "A header and the query parameter of the same name have different values."
)
URL_EXPIRED = Refusal(403, "AccessDenied", "Request has expired.", "0002-00000069")
V1_REFUSED = Refusal(403, "AccessDenied", "The V1 signature is no longer supported.", "0002-00000080")
MISSING_DATE = Refusal(403, "AccessDenied", "OSS authentication requires a valid Date.", "0002-00000503")
TIME_TOO_SKEWED = Refusal(
    403,
    "RequestTimeTooSkewed",
    "The difference between the request time and the current time is too large.",
    "0002-00000504",
)
INVALID_ACCESS_KEY_ID = Refusal(
    403,
    "InvalidAccessKeyId",
    "The OSS Access Key Id you provided does not exist in our records.",
    "0002-00000902",
)
# A token with a key that is not temporary, or a temporary key without its token.
INVALID_STS_KEY_ID = Refusal(
    403,
    "InvalidAccessKeyId",
    "The OSS Access Key Id you provided does not exist in our records.",
    "0002-00000002",
)
INVALID_TOKEN = Refusal(
    403, "InvalidSecurityToken", "The security token you provided is invalid.", "0002-00000008"
)
TOKEN_EXPIRED = Refusal(
    403, "SecurityTokenExpired", "The security token you provided has expired.", "0002-00000007"
)
_MISMATCH = (
    "The request signature we calculated does not match the signature you provided. "
    "Check your key and signing method."
)
SIGNATURE_MISMATCH = {
    "V1": Refusal(403, "SignatureDoesNotMatch", _MISMATCH, "0002-00000040"),
    "V2": Refusal(403, "SignatureDoesNotMatch", _MISMATCH, "0002-00000101"),
    "V4": Refusal(403, "SignatureDoesNotMatch", _MISMATCH, "0002-00000201"),
}

# --- What they may ---
NO_RIGHT = Refusal(
    403, "AccessDenied", "You have no right to access this object because of bucket acl.", "0003-00000001"
)
ANONYMOUS_FORBIDDEN = Refusal(
    403, "AccessDenied", "Anonymous access is forbidden for this operation.", "0003-00001201"
)
SECOND_LEVEL_DOMAIN = Refusal(
    403,
    "SecondLevelDomainForbidden",
    "The bucket you are attempting to access must be addressed using OSS third level domain.",
)
UNKNOWN_HOST = Refusal(
    403, "NonStandardHostForbidden", "Your host is invalid. Please use Open Storage Service standard host"
)
ARCHIVED = Refusal(403, "InvalidObjectState", "The operation is not valid for the object's state")

# --- What is there ---
NO_SUCH_BUCKET = Refusal(404, "NoSuchBucket", "The specified bucket does not exist.", "0015-00000101")
NO_SUCH_KEY = Refusal(404, "NoSuchKey", "The specified key does not exist.", "0026-00000001")
NO_SUCH_UPLOAD = Refusal(
    404,
    "NoSuchUpload",
    "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted "
    "or completed.",
    "0042-00000104",
)
ALREADY_EXISTS = Refusal(
    409,
    "FileAlreadyExists",
    "The object you specified already exists and can not be overwritten.",
    "0026-00000002",
)
ALREADY_EXISTS_COMPLETING = Refusal(409, ALREADY_EXISTS.code, ALREADY_EXISTS.message, "0042-00000214")
PRECONDITION_FAILED = Refusal(
    412,
    "PreconditionFailed",
    "At least one of the pre-conditions you specified did not hold.",
    "0017-00001001",
)
INVALID_RANGE = Refusal(416, "InvalidRange", "The requested range cannot be satisfied.")

# --- What was sent ---
LONG_OBJECT_NAME = Refusal(
    400, "InvalidObjectName", "The Length of Object name must be less than 1024.", "0016-00000003"
)
INVALID_OBJECT_NAME = Refusal(400, "InvalidObjectName", "The specified object is not valid.", "0016-00000005")
INVALID_ARGUMENT = Refusal(400, "InvalidArgument", "The value of an argument is invalid.")
INVALID_FORBID_OVERWRITE = Refusal(
    400, "InvalidArgument", "x-oss-forbid-overwrite must be true or false.", "0017-00000279"
)
INVALID_ENCRYPTION = Refusal(
    400, "InvalidEncryptionAlgorithmError", "The Encryption request you specified is not valid."
)
INVALID_TAG = Refusal(400, "InvalidTag", "The tag you specified is not valid.", "0010-00000217")
MALFORMED_TAGGING = Refusal(
    400, "InvalidArgument", "x-oss-tagging must be of the form key1=value1&key2=value2.", "0010-00000219"
)
INVALID_MD5 = Refusal(400, "InvalidDigest", "The Content-MD5 you specified was invalid.")
WRONG_MD5 = Refusal(400, "InvalidDigest", "The Content-MD5 you specified did not match what we received.")
MISSING_LENGTH = Refusal(411, "MissingContentLength", "You must provide the Content-Length HTTP header.")
MALFORMED_XML = Refusal(
    400,
    "MalformedXML",
    "The XML you provided was not well-formed or did not validate against our published schema.",
    "0042-00000205",
)
INVALID_PART = Refusal(
    400,
    "InvalidPart",
    "One or more of the specified parts could not be found or the specified entity tag might not have "
    "matched the part's entity tag.",
)
INVALID_PART_ORDER = Refusal(
    400,
    "InvalidPartOrder",
    "The list of parts was not in ascending order. Parts list must specified in order by part number.",
    "0042-00000209",
)
ENTITY_TOO_SMALL = Refusal(
    400,
    "EntityTooSmall",
    "Your proposed upload smaller than the minimum allowed size.",
    "0042-00000213",
)
# 400 and not 501: oss2/exceptions.py, NotImplemented.
NOT_IMPLEMENTED = Refusal(
    400, "NotImplemented", "A header or parameter you provided implies functionality that is not implemented."
)
INTERNAL_ERROR = Refusal(500, "InternalError", "We encountered an internal error. Please try again.")
