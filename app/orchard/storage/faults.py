"""What an error of object storage means: whether to retry, and what to say about it."""

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass

from orchard.errors import OrchardError

# Not the service's codes: a key that the library cannot request, and credentials that could not be obtained.
_BAD_KEY, _NO_CREDENTIALS = "InvalidKey", "NoCredentials"
# What is the same for every request, and what to do about it.
_ADVICE = {
    "NoSuchBucket": "there is no such bucket: check the name, and the account of the credentials",
    "InvalidAccessKeyId": "the access key is not known there: check the credentials",
    "SignatureDoesNotMatch": "the secret key does not belong to the access key: check the credentials",
    "ExpiredToken": "the session token has expired: renew the credentials",
    "InvalidToken": "the session token is not valid: renew the credentials",
    "PermanentRedirect": "the bucket is in another region: set AWS_REGION to it",
    "AuthorizationHeaderMalformed": "the bucket is in another region: set AWS_REGION to it",
    _NO_CREDENTIALS: "no credentials could be obtained ({}): check the profile or role that should give them",
    _BAD_KEY: "{}: rename it, or name a folder without it",
}
_HINTS = {**_ADVICE, "InvalidObjectState": "it is archived: restore it first"}


def endpoint() -> str:
    """The endpoint that the environment names in place of AWS's own; empty for that."""
    return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL", "")


@dataclass(frozen=True)
class Fault:
    """An error of the library: HTTP status (None: no answer), the service's code (may be empty), one line of text."""

    status: int | None
    code: str
    text: str

    @property
    def passing(self) -> bool:
        """Whether the same request may succeed a moment later: no answer, half of one, throttling, a server error."""
        return self.status in (None, 401, 408, 425, 429) or self.status >= 500 or self.expired

    @property
    def expired(self) -> bool:
        """Whether new credentials would help."""
        return self.code in ("ExpiredToken", "InvalidToken")

    @property
    def refused_key(self) -> bool:
        """Whether the library refused to request or to list a key, whatever the service holds."""
        return self.code == _BAD_KEY

    @property
    def everywhere(self) -> bool:
        """Whether every other request for a photo would fail in the same manner."""
        return self.code in _ADVICE and not self.passing

    def advice(self) -> str:
        """What is wrong and what next, about the whole location rather than one key."""
        if self.status is None:
            server = endpoint() or "the service"
            return f"no answer from {server} ({self.text}): check the network, the region and AWS_ENDPOINT_URL"
        if self.status == 403 and self.code not in _ADVICE:
            need = "s3:ListBucket and s3:GetObject, for an output s3:PutObject"
            return f"access denied ({self.code or 403}): the credentials must allow to list, read and write it ({need})"
        return _ADVICE.get(self.code, "{}").format(self.text)


# obstore (0.12) hands an error over as text only. Its forms, each with an example; what matches first counts.
#     Could not parse path: Path "a//b" contained empty path segment
_REFUSED_KEY = re.compile(r'[Pp]ath "(.*?)"', re.DOTALL)
#     Generic S3 error: Error getting credentials from credential provider: CredentialRetrievalError: Error when ...
_REFUSED_CREDENTIALS = re.compile(r"credential provider: (.*)")
# An answer with an error, in the first line or in the cause below it; S3's own code in the body where there is one:
#     ... - Server returned non-2xx status code: 503 Slow Down: <Error><Code>SlowDown</Code>...
_STATUS, _CODE = re.compile(r"status code: (\d{3}) ?([\w ]*)"), re.compile(r"<Code>([\w.]+)</Code>")
# No answer, or half of one; further down the system's cause where it is known:
#     Generic S3 error: Error performing GET http://... in 0.2ms - HTTP error: error sending request
#     ... source: Error { kind: Connect, source: ConnectError("tcp connect error", Os { ... "Connection refused" }) }
_NO_ANSWER = re.compile(r"HTTP error: ([^\n]*)")
_CAUSE = re.compile(r"Connection \w+|dns error|TimedOut|invalid peer certificate: \w+")


def fault_of(error: BaseException) -> Fault | None:
    """The fault behind an error that obstore or botocore raised; None for any other error."""
    library = type(error).__module__.partition(".")[0]
    if library == "botocore":
        return _fault_of_botocore(error)
    if library == "obstore" or isinstance(error, FileNotFoundError):
        return _fault_of_text(type(error).__name__, str(error))
    return None


def _fault_of_text(kind: str, message: str) -> Fault:
    first = message.split("\n", 1)[0]
    if kind == "InvalidPathError" and (bad := _REFUSED_KEY.search(message)):
        return Fault(400, _BAD_KEY, f"the key {bad[1]!r} has an empty part, a part `.` or `..`, or a control character")
    if refused := _REFUSED_CREDENTIALS.search(first):
        return Fault(401, _NO_CREDENTIALS, refused[1])
    if status := _STATUS.search(message):
        code = _CODE.search(message)
        return _answered(int(status[1]), code[1] if code else "", status[2].strip())
    if silence := _NO_ANSWER.search(first):
        return Fault(None, "", (_CAUSE.search(message) or silence)[0])
    return Fault(400, "", first)


def _fault_of_botocore(error: BaseException) -> Fault:
    response = getattr(error, "response", None)
    if response is None:  # the credentials or the connection
        unsigned = "Credential" in type(error).__name__
        return Fault(401, _NO_CREDENTIALS, str(error)) if unsigned else Fault(None, "", type(error).__name__)
    code = response.get("Error", {}).get("Code", "")
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 400)
    return _answered(status, "" if code.isdigit() else code, "")


def _answered(status: int, code: str, phrase: str) -> Fault:
    word = code or phrase
    return Fault(status, code, f"{status} {word}".strip() + (f": {_HINTS[word]}" if word in _HINTS else ""))


@contextlib.contextmanager
def explained(where: str, kind: type[OrchardError]) -> Iterator[None]:
    """Turn errors of a library or the system into one line of this kind; missing keys, and others' errors, pass."""
    try:
        yield
    except Exception as exc:
        fault = fault_of(exc)
        if isinstance(exc, OSError) and not fault:
            raise kind(f"{where}: {exc.strerror or exc}: free space, give access, or choose another folder") from exc
        if fault is None or (isinstance(exc, FileNotFoundError) and fault.code != "NoSuchBucket"):
            raise
        raise kind(f"{where}: {fault.advice()}") from exc
