"""The one door to object storage: connections by URI, credentials, and what an error of the library means.

obstore does the requests. Credentials come from botocore's chain (environment, profile, web identity, container or instance
role), the region and the endpoint from the standard variables: AWS_REGION or AWS_DEFAULT_REGION, AWS_ENDPOINT_URL_S3 or
AWS_ENDPOINT_URL. Other clouds' schemes go through obstore as they are, with its own environment variables.

Both libraries are imported inside the functions: a run on folders loads neither.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from orchard.errors import InputError, OrchardError

if TYPE_CHECKING:
    from obstore.store import ObjectStore as Client

SCHEMES = ("s3", "s3a", "gs", "az", "abfs", "abfss")

CONNECT_TIMEOUT = timedelta(seconds=5)
# No whole request takes longer unless it moves gigabytes; the time between two pieces of an answer is what tells a dead one.
REQUEST_TIMEOUT = timedelta(minutes=15)
# botocore renews credentials 15 minutes before their end and hands out none that have less than 10 left; obstore asks for new ones
# 5 minutes before the end that it is told. So it asks every 5 minutes, and never signs with expired ones.
CREDENTIALS_KEPT = timedelta(minutes=10)


def is_object_uri(uri: str) -> bool:
    """Whether `uri` names a place in object storage."""
    return urlsplit(uri).scheme in SCHEMES if "://" in uri else False


def split_uri(uri: str) -> tuple[str, str]:
    """Bucket and prefix of a URI, taken literally: `%`, `#` and `?` in it are parts of the name.

    Returns:
        The prefix without slashes at its ends; empty for the whole bucket.
    """
    bucket, _, prefix = uri.split("://", 1)[1].partition("/")
    return bucket, prefix.strip("/")


# By URI and retries. Threads that come first share the making of a connection instead of each making one.
_clients: dict[tuple[str, int, float], Client] = {}
_connecting = threading.Lock()


def connect(uri: str, *, retries: int, patience: float = 20) -> Client:
    """A connection whose keys are relative to `uri`, kept for the life of this process.

    Args:
        retries: how often a request that failed for a passing reason is sent again by the library itself.
        patience: seconds without a byte of an answer after which a request has failed.

    Raises:
        InputError: no bucket in the URI, or no region or credentials to be found.
    """
    with _connecting:
        wanted = uri, retries, patience
        if wanted not in _clients:
            _clients[wanted] = _connect(*wanted)
        return _clients[wanted]


def forget(client: Client | None = None) -> None:
    """Have the next `connect` look for credentials again, where this connection (or whichever) is still the one in use."""
    with _connecting:
        for key in [key for key, known in _clients.items() if client in (None, known)]:
            del _clients[key]


def _connect(uri: str, retries: int, patience: float) -> Client:
    from obstore.store import S3Store, from_url

    bucket, prefix = split_uri(uri)
    if not bucket:
        raise InputError(f"{uri}: names no bucket: write {uri.split('://')[0]}://BUCKET/PREFIX")
    options: dict[str, Any] = {
        "client_options": _client_options(patience),
        "retry_config": {
            "max_retries": retries,
            "retry_timeout": timedelta(seconds=60),
            "backoff": {"max_backoff": timedelta(seconds=5)},
        },
    }
    if urlsplit(uri).scheme in ("s3", "s3a"):
        return S3Store(bucket, prefix=prefix or None, **_aws(uri), **options)
    return from_url(uri, **options)


def _client_options(patience: float) -> dict[str, Any]:
    timeouts = {
        "connect_timeout": CONNECT_TIMEOUT,
        "read_timeout": timedelta(seconds=patience),
        "timeout": REQUEST_TIMEOUT,
    }
    # Whoever names an http:// endpoint has decided; a private one on the same machine or network, say.
    return {**timeouts, "allow_http": True} if (endpoint() or "").startswith("http://") else timeouts


def endpoint() -> str | None:
    """The endpoint to use instead of AWS's own."""
    return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")


def _aws(uri: str) -> dict[str, Any]:
    from botocore.exceptions import BotoCoreError

    try:
        return _from_chain(uri)
    except BotoCoreError as exc:
        raise InputError(f"{uri}: {exc}: check AWS_PROFILE and the files in ~/.aws") from exc


def _from_chain(uri: str) -> dict[str, Any]:
    import botocore.session

    session = botocore.session.Session()
    region = (
        os.environ.get("AWS_REGION") or session.get_config_variable("region") or ("us-east-1" if endpoint() else None)
    )
    if region is None:
        raise InputError(f"{uri}: no AWS region is set: set AWS_REGION to the bucket's, eu-west-1 for one")
    settings = {"region": region, **({"endpoint": endpoint()} if endpoint() else {})}
    if os.environ.get("AWS_SKIP_SIGNATURE", "").lower() in ("1", "true"):
        return settings  # a public bucket, read without credentials
    credentials = session.get_credentials()
    if credentials is None:
        raise InputError(f"{uri}: no AWS credentials found: set AWS_PROFILE or AWS_ACCESS_KEY_ID, or run with a role")
    return {**settings, "credential_provider": functools.partial(_hand_out, credentials)}


def _hand_out(credentials: Any) -> dict[str, Any]:
    frozen = credentials.get_frozen_credentials()
    return {
        "access_key_id": frozen.access_key,
        "secret_access_key": frozen.secret_key,
        "token": frozen.token,
        "expires_at": datetime.now(UTC) + CREDENTIALS_KEPT,
    }


_EXPIRED = ("ExpiredToken", "InvalidToken")
_STATUS, _CODE = re.compile(r"status code: (\d{3}) ?([\w ]*)"), re.compile(r"<Code>([\w.]+)</Code>")
# Why there was no answer: in the library's words, and below them, where it knows, in the system's.
_NO_ANSWER, _CAUSE = (
    re.compile(r"HTTP error: ([^\n]*)"),
    re.compile(r"Connection \w+|dns error|TimedOut|invalid peer certificate: \w+"),
)
# What the service says of everybody's requests alike, and what to do about it.
_ADVICE = {
    "NoSuchBucket": "there is no such bucket: check the name, and the account of the credentials",
    "InvalidAccessKeyId": "the access key is not known there: check the credentials",
    "SignatureDoesNotMatch": "the secret key does not belong to the access key: check the credentials",
    "ExpiredToken": "the session token has expired: renew the credentials",
    "InvalidToken": "the session token is not valid: renew the credentials",
    "PermanentRedirect": "the bucket is in another region: set AWS_REGION to it",
    "AuthorizationHeaderMalformed": "the bucket is in another region: set AWS_REGION to it",
}
# What to do about one photo, behind the service's word.
_HINTS = {
    "InvalidObjectState": ": it is archived: restore it first",
    **{code: f": {_ADVICE[code]}" for code in _EXPIRED},
}
# Not the service's words: a key that the library cannot ask for, and credentials that could not be had.
_BAD_KEY, _NO_CREDENTIALS = "InvalidKey", "NoCredentials"


@dataclass(frozen=True)
class Fault:
    """What an error of the library says.

    Attributes:
        status: the HTTP status, None where no answer came.
        code: the service's own word for it, such as "SlowDown"; may be empty.
        text: one line for a person.
    """

    status: int | None
    code: str
    text: str

    @property
    def passing(self) -> bool:
        """Whether the same request may well succeed a moment later: no answer, a broken one, throttling, a fault of the service."""
        return self.status in (None, 401, 408, 425, 429) or self.status >= 500 or self.expired

    @property
    def expired(self) -> bool:
        """Whether new credentials would help."""
        return self.code in _EXPIRED

    @property
    def everywhere(self) -> bool:
        """Whether every other request for a photo would end the same."""
        return self.code in _ADVICE and not self.passing

    def advice(self) -> str:
        """What is wrong and what next, about the whole place rather than one key."""
        if self.code in _ADVICE:
            return _ADVICE[self.code]
        if self.code == _NO_CREDENTIALS:
            return f"no credentials could be had ({self.text}): check the profile or role that should give them"
        if self.status == 403:
            return f"access denied ({self.code or 403}): the credentials must allow to list it and to read it (s3:ListBucket, s3:GetObject)"
        if self.code == _BAD_KEY:
            return f"{self.text}: no library reads such a key: rename it, or name a folder without it"
        if self.status is None:
            return f"no answer from {endpoint() or 'the service'} ({self.text}): check the network, the region and AWS_ENDPOINT_URL"
        return self.text


def fault_of(error: BaseException) -> Fault | None:
    """The fault behind an error that obstore raised; None for any other error."""
    if not type(error).__module__.startswith("obstore") and not isinstance(error, FileNotFoundError):
        return None
    message = str(error)
    first = message.split("\n", 1)[0]
    if bad := re.search(r'[Pp]ath "(.*?)"', message) if type(error).__name__ == "InvalidPathError" else None:
        return Fault(400, _BAD_KEY, f"the key {bad[1]!r} has an empty part, a part `.` or `..`, or a control character")
    if refused := re.search(r"credential provider: (.*)", first):
        return Fault(401, _NO_CREDENTIALS, refused[1])
    if status := _STATUS.search(message):
        code = _CODE.search(message)
        word = code[1] if code else status[2].strip()
        return Fault(int(status[1]), code[1] if code else "", f"{status[1]} {word}".strip() + _HINTS.get(word, ""))
    if silence := _NO_ANSWER.search(first):
        cause = _CAUSE.search(message)
        return Fault(None, "", cause[0] if cause else silence[1])
    return Fault(400, "", first)


@contextlib.contextmanager
def explained(place: str, kind: type[OrchardError]) -> Iterator[None]:
    """Turn errors of the library into one line of this kind, about `place`; missing keys, and others' errors, pass."""
    try:
        yield
    except Exception as exc:
        fault = fault_of(exc)
        if fault is None or (isinstance(exc, FileNotFoundError) and fault.code != "NoSuchBucket"):
            raise
        raise kind(f"{place}: {fault.advice()}") from exc
