"""A run of the image on this machine by the job specification: the cloud's, but for master, sizes and paths."""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from orchard.network.weights import cache_root
from orchard.options import Options

from orchard_deploy.errors import SpecError
from orchard_deploy.image.docker_engine import PROXIES
from orchard_deploy.job_commands import COMMANDS, further_places, own_backbone, to_words
from orchard_deploy.local.container import ContainerRun, mount
from orchard_deploy.site import PLACEHOLDER
from orchard_deploy.spec import Spec

_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
# The JVM's heap is a quarter, at least this much; the Python workers and the network have the rest.
_LEAST_HEAP = 512 << 20
# With less not even the JVM starts, and to Docker none at all means without limit.
_LEAST_MEMORY = 64 << 20
# Handed on from the caller's environment.
_VARIABLES = (
    *("AWS_DEFAULT_PROFILE", "AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"),
    *("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_SKIP_SIGNATURE"),
    *PROXIES,
)
# Variable -> the usual path of the file that it names, which is mounted.
_FILES = {"AWS_CONFIG_FILE": "~/.aws/config", "AWS_SHARED_CREDENTIALS_FILE": "~/.aws/credentials"}
# What reads and writes S3 knows only the second, what fetches credentials only the first: one stands in for the other.
_CERTIFICATES = ("AWS_CA_BUNDLE", "SSL_CERT_FILE")


def parse_memory(text: str) -> int:
    """Bytes in `6g`, `512m`, `1.5GB`; `SpecError` for no such amount, or too little for anything."""
    match = re.fullmatch(r"(\d{1,15}(?:\.\d+)?)([kmg]?)i?b?", text.strip().lower())
    size = int(float(match[1]) * _UNITS[match[2]]) if match else 0
    if size < _LEAST_MEMORY:
        raise SpecError(f"--memory {text}: give an amount of at least {_LEAST_MEMORY >> 20}m, such as 6g or 1500m")
    return size


def job_of(spec: Spec, extra: tuple[str, ...], *, input: str | None, output: str | None) -> Options:
    """The options of a run on this machine, with locations of its own; `SpecError` where one cannot be used."""
    command = COMMANDS[spec.command]
    if command.input is None and input is not None:
        raise SpecError(f"--input {input}: {spec.command} reads none: leave it out")
    for name, location in (("--input", input if command.input else "none"), ("--output", output)):
        if location is None and "photos" not in command.files:  # only `predict` can do without
            raise SpecError(f"{name}: {spec.command} needs one: add it")
    job = spec.job(*extra, input=input, output=output)
    for option, location in _locations(spec.command, job):
        if option != "output":
            _check_existing("--input" if option == command.input else job.shown(option), location, spec.command)
    # The job's own check sees two folders of other names.
    local = command.photos and input and output and "://" not in input + output
    if local and _absolute(str(output)).resolve().is_relative_to(_absolute(str(input)).resolve()):
        raise SpecError(f"--output {output}: is inside --input {input}, which is never written to: choose another")
    return job


def _locations(name: str, job: Options) -> Iterator[tuple[str, str]]:
    """Option and location of everything that a command reads and writes."""
    for option in (COMMANDS[name].input, "output"):
        if option and (where := getattr(job, option)):
            yield option, where
    yield from further_places(name, job)
    yield from own_backbone(job)


def _check_existing(name: str, location: str, command: str) -> None:
    """Raise `SpecError` unless what is to be mounted exists: some engines would make a folder of it."""
    if "://" in location:
        if PLACEHOLDER.search(location) or not location.startswith(("s3://", "s3a://")):
            raise SpecError(f"{name} {location}: name a path on this machine, or a full address of s3://")
    elif not (os.path.isdir if name == "--input" else os.path.exists)(_absolute(location)):
        kind = "folder" if name == "--input" else "file or folder"
        raise SpecError(f"{name} {location}: no such {kind}: name what {command} is to read")


def with_job(run: ContainerRun, spec: Spec, job: Options, slots: int, environ: Mapping[str, str]) -> ContainerRun:
    """The run of a job in `slots` tasks, with the caller's settings for S3 where it is named; or `SpecError`."""
    properties = {**spec.spark_properties, "spark.driver.memory": f"{max(_LEAST_HEAP, run.memory // 4) >> 20}m"}
    settings = [word for name, value in sorted(properties.items()) for word in ("--conf", f"{name}={value}")]
    moved, mounts, output = _moved(spec.command, job)
    env = ["HOME=/tmp"]  # the user's own in the image, if there is one, is read-only
    remote = any("://" in where for _, where in _locations(spec.command, job))
    for name, path in files_of(environ).items() if remote else ():
        mounts.append(mount(path, inside := f"/caller/{name.lower()}", "readonly"))
        env.append(f"{name}={inside}")
    if run.user:
        mounts.append(mount(names_file(run.user), "/etc/passwd", "readonly"))
    return replace(
        run,
        command=("--master", f"local[{slots}]", *settings, spec.entry_point, *to_words(spec.command, moved)),
        network=run.network or ("bridge" if remote else None),
        env=(*env, *(name for name in _VARIABLES if remote and environ.get(name))),
        mounts=tuple(dict.fromkeys(mounts)),
        output=output,
    )


def _moved(name: str, job: Options) -> tuple[Options, list[str], Path | None]:
    """The job with its locations in the container, below folders named after options; their mounts; what is written."""
    moved: dict[str, Any] = {"master": None} if hasattr(job, "master") else {}  # that is spark-submit's here
    mounts, output = [], None
    for option, where in _locations(name, job):
        several, is_file = isinstance(getattr(job, option), tuple), option in COMMANDS[name].files
        target = where
        if "://" not in where:
            source = _absolute(where)
            folder = f"/{option}{source.parent}" if several else f"/{option}"  # several may have the same name
            target = f"{folder}/{source.name}" if is_file else folder
            if option == "output":  # a file is yet to be made, so its folder is mounted
                output = source.parent if is_file else source
                mounts.append(mount(output, folder))
            else:
                mounts.append(mount(source, target, "readonly"))
        moved[option] = (*moved.get(option, ()), target) if several else target
    return replace(job, **moved), mounts, output


def files_of(environ: Mapping[str, str]) -> dict[str, Path]:
    """The files that a job gets, by the variable that names them; `SpecError` where one cannot be read."""
    usual = {name: _absolute(environ.get(name) or path) for name, path in _FILES.items()}
    found = {name: path for name, path in usual.items() if os.path.isfile(path)}
    if bundles := [environ[name] for name in _CERTIFICATES if environ.get(name)]:
        found |= dict(zip(_CERTIFICATES, (_absolute(bundles[0]), _absolute(bundles[-1])), strict=True))
    for name, path in found.items():
        if not os.path.isfile(path) or not os.access(path, os.R_OK):
            raise SpecError(f"{name}: {path}: no file that you can read: name another, or make it readable")
    return found


def names_file(user: tuple[int, int]) -> Path:
    """A file for the container's /etc/passwd: Hadoop does not work for a user id without a name. Or `SpecError`."""
    text = "root:x:0:0::/tmp:/bin/sh\n" + ("hadoop:x:{}:{}::/tmp:/bin/sh\n".format(*user) if user[0] else "")
    try:
        path = cache_root() / "passwd-{}-{}".format(*user)  # where it stays, for the printed `docker run`
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            path.chmod(0o644)
    except (OSError, RuntimeError) as exc:  # RuntimeError: there is no home folder
        raise SpecError(f"Orchard's cache: {exc}: set XDG_CACHE_HOME to a folder that you can write to") from exc
    return path


def make_output(folder: Path) -> None:
    """Make the output folder; `SpecError` where that fails, or the caller's container could not write to it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise SpecError(f"--output {folder}: {exc.strerror}: choose a folder that you can write to") from exc
    user, found = os.getuid(), folder.stat()
    # In the container root has no more rights to a folder than anyone else, unlike here.
    shift = 6 if found.st_uid == 0 else 3 if found.st_gid == os.getgid() else 0
    writable = (found.st_mode >> shift) & 0o3 == 0o3 if user == 0 else os.access(folder, os.W_OK | os.X_OK)
    if not writable:
        owner = f"belongs to user {found.st_uid}, and the container runs as you, user {user}"
        raise SpecError(f"--output {folder}: {owner}: choose a folder of your own, or call as its owner")


def _absolute(path: str) -> Path:
    return Path(os.path.abspath(os.path.expanduser(path)))
