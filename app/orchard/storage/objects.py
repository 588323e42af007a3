"""The client of object storage: connections by URI, each kept for the life of the process.

obstore sends the requests; botocore those for keys that obstore refuses (see `is_addressable`). Both are imported
inside the functions: a run on folders loads neither. Region and credentials are found as every AWS tool finds them.
"""

import os
import re
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache, partial, wraps
from typing import Any, ParamSpec

from orchard.errors import InputError
from orchard.storage.faults import Fault, endpoint, explained, fault_of

__all__ = ["Fault", "connect", "connect_boto", "explained", "fault_of", "forget", "storage_options"]

SCHEMES = ("s3", "s3a")
CONNECT_TIMEOUT = 5  # seconds
P = ParamSpec("P")
# By function and arguments. Threads that come first share the making of a connection.
_clients: dict[tuple[Any, ...], Any] = {}
_connecting = threading.Lock()


def is_object_uri(uri: str) -> bool:
    """Whether `uri` names a bucket or a prefix in one."""
    return uri.lower().startswith(tuple(f"{scheme}://" for scheme in SCHEMES))


def split_uri(uri: str) -> tuple[str, str]:
    """Bucket, and prefix without slashes at its ends; taken literally: `%`, `#` and `?` are parts of the name."""
    bucket, _, prefix = uri.split("://", 1)[1].partition("/")
    return bucket, prefix.strip("/")


def is_addressable(key: str) -> bool:
    """Whether obstore can request a key: it refuses control characters, and empty parts, `.` and `..` between `/`."""
    return not re.search(r"[\x00-\x1f\x7f]", key) and not {"", ".", ".."} & set(key.split("/"))


def _kept(make: Callable[P, Any]) -> Callable[P, Any]:
    """Have a function return what it made for these arguments before."""

    @wraps(make)
    def connect(*args: P.args, **settings: P.kwargs) -> Any:
        wanted = (make, args, *sorted(settings.items()))
        with _connecting:
            if wanted not in _clients:
                _clients[wanted] = make(*args, **settings)
            return _clients[wanted]

    return connect


def forget(client: Any = None) -> None:
    """Have the next call look for credentials again, where this connection (or whichever) is still the one in use."""
    with _connecting:
        if client is None or any(client is other for other in _clients.values()):
            _clients.clear()
            _session.cache_clear()


@cache
def _session() -> Any:
    """This process's botocore session, which keeps its credentials and renews those of a role."""
    import botocore.session

    return botocore.session.Session()


def _settings(uri: str) -> tuple[str, Any]:
    """The region; credentials that renew themselves, None for a public bucket that is read without."""
    from botocore.exceptions import BotoCoreError

    if not split_uri(uri)[0]:
        raise InputError(f"{uri}: names no bucket: write s3://BUCKET/PREFIX")
    unsigned = os.environ.get("AWS_SKIP_SIGNATURE", "").lower() in ("1", "true")
    try:
        region = os.environ.get("AWS_REGION") or _session().get_config_variable("region")
        credentials = None if unsigned else _session().get_credentials()
    except BotoCoreError as exc:
        raise InputError(f"{uri}: {exc}: check AWS_PROFILE and the files in ~/.aws") from exc
    if not region and not endpoint():
        raise InputError(f"{uri}: no AWS region is set: set AWS_REGION to the bucket's, eu-west-1 for one")
    if credentials is None and not unsigned:
        raise InputError(f"{uri}: no AWS credentials found: set AWS_PROFILE or AWS_ACCESS_KEY_ID, or run with a role")
    return region or "us-east-1", credentials


@_kept
def connect(uri: str, *, retries: int, timeout: float = 20) -> Any:
    """An obstore client whose keys are relative to `uri`; `InputError` without a bucket, a region or credentials.

    The library itself sends a request `retries` times again; one has failed after `timeout` seconds without a byte.
    """
    from obstore.store import S3Store

    bucket, prefix = split_uri(uri)
    region, credentials = _settings(uri)
    backoff = {"max_backoff": timedelta(seconds=5)}
    options: dict[str, Any] = {
        "prefix": prefix,
        "region": region,
        "endpoint": endpoint(),
        "skip_signature": credentials is None,
        "credential_provider": credentials and partial(_hand_out, credentials),
        "client_options": {
            "connect_timeout": timedelta(seconds=CONNECT_TIMEOUT),
            "read_timeout": timedelta(seconds=timeout),
            "timeout": timedelta(minutes=15),  # a request takes longer in all only if it moves gigabytes
            "allow_http": endpoint().startswith("http://"),  # whoever names such an endpoint has decided
        },
        "retry_config": {"max_retries": retries, "retry_timeout": timedelta(seconds=60), "backoff": backoff},
    }
    return S3Store(bucket, **{name: value for name, value in options.items() if value})


def _hand_out(credentials: Any) -> dict[str, Any]:
    """Credentials that are valid now, as obstore takes them."""
    keys = credentials.get_frozen_credentials()
    names = {"access_key_id": keys.access_key, "secret_access_key": keys.secret_key, "token": keys.token}
    # botocore renews credentials 15 minutes before their end and hands out none that have less than 10 left; obstore
    # requests new ones 5 minutes before the given end: every 5 minutes, so that it never signs with expired ones.
    return {**names, "expires_at": datetime.now(UTC) + timedelta(minutes=10)}


@_kept
def connect_boto(uri: str, *, timeout: float = 20) -> Any:
    """A botocore client for the bucket of `uri`, for keys that `connect`'s client cannot request; errors as there."""
    from botocore import UNSIGNED
    from botocore.config import Config

    region, credentials = _settings(uri)
    config = Config(
        connect_timeout=CONNECT_TIMEOUT,
        read_timeout=timeout,
        retries={"total_max_attempts": 1},
        s3={"addressing_style": "path"} if endpoint() else {},
        signature_version=None if credentials else UNSIGNED,
    )
    return _session().create_client("s3", region_name=region, endpoint_url=endpoint() or None, config=config)


def storage_options(uri: str) -> dict[str, str]:
    """What delta-rs needs to reach `uri`, with credentials valid now: for one operation; errors as of `connect`."""
    region, credentials = _settings(uri)
    options = {"aws_region": region, "aws_endpoint": endpoint()}
    if endpoint().startswith("http://"):
        options["aws_allow_http"] = "true"
    if credentials is None:
        options["aws_skip_signature"] = "true"
    else:
        with explained(uri, InputError):
            keys = credentials.get_frozen_credentials()
        options |= {"aws_access_key_id": keys.access_key, "aws_secret_access_key": keys.secret_key}
        options["aws_session_token"] = keys.token
    return {name: value for name, value in options.items() if value}
