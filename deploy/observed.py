"""What there is in the account, as the doors found it: frozen, and nothing of boto3 in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Repository:
    """A repository of images: its tags, its own settings, its policy."""

    tags: Mapping[str, str]
    immutable: bool
    scans: bool
    policy: Mapping[str, Any] | None


@dataclass(frozen=True, kw_only=True)
class Bucket:
    """A bucket: its tags, whether public access is blocked, whether anything is in it, its region where S3 tells."""

    tags: Mapping[str, str]
    blocked: bool
    empty: bool
    region: str | None = None


class Access(Enum):
    """Whether a bucket that is not ours to make can be used."""

    GRANTED = "granted"
    DENIED = "denied"
    MISSING = "missing"


@dataclass(frozen=True, kw_only=True)
class Reach:
    """How a bucket that is not ours to make is reached, and its region where S3 tells."""

    access: Access
    region: str | None = None


@dataclass(frozen=True, kw_only=True)
class Role:
    """A role: its tags, who may take it, what it may do by the job's inline policy."""

    tags: Mapping[str, str]
    trust: Mapping[str, Any]
    policy: Mapping[str, Any] | None


@dataclass(frozen=True, kw_only=True)
class Application:
    """An application of EMR Serverless; `settings` as GetApplication gives them."""

    id: str
    state: str
    tags: Mapping[str, str]
    settings: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Utilization:
    """vCPU-hours, GB-hours of memory and GB-hours of disk beyond the free 20 GB a worker."""

    cpu: float
    memory: float
    storage: float


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run, on either service.

    Attributes:
        place: application or virtual cluster.
        created, started, ended: seconds since 1970.
        digest: of the run's image, once the service says.
        billed, used: what is billed, and what was used, once the service says.
    """

    id: str
    place: str
    name: str
    state: str
    details: str = ""
    created: float | None = None
    started: float | None = None
    ended: float | None = None
    digest: str | None = None
    billed: Utilization | None = None
    used: Utilization | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Observed:
    """Everything that a specification is about, as it is now.

    Attributes:
        applications: those of its name that are not gone, whoever made them.
        digest: of the wanted image, if the repository has it.
        active: runs that are not over, of those applications.
        reached: the buckets that the specification names beside its own.
    """

    repository: Repository | None = None
    digest: str | None = None
    bucket: Bucket | None = None
    role: Role | None = None
    applications: tuple[Application, ...] = ()
    active: tuple[Run, ...] = ()
    reached: Mapping[str, Reach] = field(default_factory=dict)
