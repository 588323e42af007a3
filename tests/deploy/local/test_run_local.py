"""The plan of a run on this machine: confined, and the cloud's but for master, sizes and paths."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from orchard_deploy.__main__ import main
from orchard_deploy.errors import SpecError
from orchard_deploy.local.run_local import parse_memory
from orchard_deploy.runs.spark import spark_properties
from orchard_deploy.spec import SPEC_FILE, Spec

from tests.deploy.conftest import ROOT
from tests.deploy.local.planned import mounts_of, planned

Typed = Callable[[str, str], tuple[int, str, str]]
TREE = ["--spec", str(ROOT / SPEC_FILE), "--tree", str(ROOT)]


def properties(command: tuple[str, ...]) -> dict[str, str]:
    settings = [word for before, word in itertools.pairwise(command) if before == "--conf"]
    return dict(setting.split("=", 1) for setting in settings)


def test_the_container_is_confined_to_its_two_folders(spec: Spec) -> None:
    run = planned(spec)
    words = " ".join(run.words())
    for option in ("--network none", "--read-only", "--cap-drop ALL", "--security-opt no-new-privileges"):
        assert f"{option} " in words
    assert f"--memory {6 << 30} --memory-swap {6 << 30} " in words
    assert mounts_of(run) == {"/input": ("/photos", True), "/output": ("/out", False)}
    assert run.output == Path("/out")


def test_what_runs_is_the_specifications_entry_point_with_its_arguments(spec: Spec) -> None:
    command = planned(replace(spec, arguments=("--variance", "0.5"))).command
    place = command.index("local:///opt/orchard/main.py")
    assert command[place + 1 :] == ("--input", "/input", "--output", "/output", "--variance", "0.5")
    assert command[:2] == ("--master", "local[4]")


def test_every_property_of_the_cloud_is_there_but_those_of_sizes_cap_and_interpreter(spec: Spec) -> None:
    spec = replace(spec, spark_properties={"spark.sql.shuffle.partitions": "7"})
    here, there = properties(planned(spec).command), spark_properties(spec)
    left_out = {name for name in there if here.get(name) != there[name]}
    assert here["spark.sql.shuffle.partitions"] == "7"
    for name in left_out:
        assert name.startswith(
            (
                "spark.cores.",
                "spark.default.parallelism",
                "spark.driver.",
                "spark.executor.",
                "spark.emr-serverless.",
                "spark.dynamicAllocation.",
                "spark.executorEnv.",
            )
        )
    assert here.keys() - there.keys() == set()


@pytest.mark.parametrize("output", ["photos", "photos/out", "link/out", "photos/../photos/out/"])
def test_an_output_inside_the_input_is_refused_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], output: str
) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "link").symlink_to("photos")
    monkeypatch.chdir(tmp_path)
    code = main(["run-local", *TREE, "--image", "orchard:x", "--input", "photos", "--output", output])
    error = capsys.readouterr().err
    assert (code, error.count("\n")) == (2, 1)
    assert f"--output {output}: is inside --input photos" in error
    assert list((tmp_path / "photos").iterdir()) == []


def test_a_folder_beside_the_input_is_none_inside_it(typed: Typed) -> None:
    assert typed("run", "--dry-run --input photos --output photos-out")[0] == 0


def test_an_s3_address_brings_the_callers_settings(spec: Spec, tmp_path: Path) -> None:
    files = {"AWS_CONFIG_FILE": tmp_path / "config", "SSL_CERT_FILE": tmp_path / "keys"}
    for path in files.values():
        path.touch()
    environ = {"AWS_REGION": "eu-west-1", **{name: str(path) for name, path in files.items()}}
    run = planned(spec, input="s3://bucket/photos", environ=environ)
    assert run.command[run.command.index("--input") + 1] == "s3://bucket/photos"
    assert "AWS_REGION" in run.env
    mounted = mounts_of(run)
    assert mounted.pop("/output") == ("/out", False)
    named = dict(value.split("=") for value in run.env if "=" in value)
    assert {name: mounted[named[name]] for name in files} == {name: (str(path), True) for name, path in files.items()}


@pytest.mark.parametrize(("asked", "expected"), [(None, None), (1.5, "1.5")])
def test_cores_are_the_engines_own_unless_fewer_are_asked_for(
    spec: Spec, asked: float | None, expected: str | None
) -> None:
    words = planned(spec, cpus=asked).words()
    assert ("--cpus" in words) == (expected is not None)
    assert expected is None or words[words.index("--cpus") + 1] == expected


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--slots", "0"], "argument --slots: 0 is no number of task slots, 1 or more"),
        (["--slots=-1"], "argument --slots: -1 is no number"),
        (["--cpus", "0"], "argument --cpus: 0 is no number of cores, 0.01 or more"),
        (["--cpus", "nan"], "argument --cpus: nan is no number"),
        (["--cpus", "inf"], "argument --cpus: inf is no number"),
    ],
)
def test_numbers_that_no_run_can_work_with_are_wrong_usage(
    capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    with pytest.raises(SystemExit) as raised:
        main(["run-local", *TREE, *words, "--dry-run"])
    assert raised.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("memory", ["0", "6"])
def test_too_little_memory_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], memory: str) -> None:
    places = ["--image", "orchard:x", "--input", str(tmp_path), "--output", "s3://bucket/out"]
    code = main(["run-local", *TREE, *places, "--memory", memory, "--dry-run"])
    error = capsys.readouterr().err
    assert (code, error.count("\n")) == (2, 1)
    assert f"--memory {memory}: give an amount of at least 64m" in error


def test_further_arguments_reach_the_job(spec: Spec) -> None:
    command = planned(spec, "--varieties", "5").command
    assert ("--varieties", "5") in itertools.pairwise(command)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("6g", 6 << 30),
        ("512m", 512 << 20),
        ("1.5GiB", 3 << 29),
        ("100000000", 100_000_000),
        ("2 Gb".replace(" ", ""), 2 << 30),
    ],
)
def test_amounts_of_memory(text: str, size: int) -> None:
    assert parse_memory(text) == size


@pytest.mark.parametrize("text", ["", "much", "-1g", "6 gallons", "6t", "9" * 400])
def test_no_amount_of_memory(text: str) -> None:
    with pytest.raises(SpecError, match="give an amount of at least 64m"):
        parse_memory(text)


# Command, what is asked for, the job's words in the container, and what is mounted where, read-only but for the output.
CASES: dict[str, tuple[str, dict[str, Any], str, dict[str, str]]] = {
    "train": (
        "train",
        {"input": "/features", "extra": ("--labels", "first-word", "--test", "/test set")},
        "train --features /features --output /output --labels first-word --test /test",
        {"/features": "/features", "/test": "/test set", "/output": "/out"},
    ),
    "train by a CSV file": (
        "train",
        {"input": "/features", "extra": ("--labels", "/sheets/classes.csv")},
        "train --features /features --output /output --labels /labels/classes.csv",
        {"/features": "/features", "/labels/classes.csv": "/sheets/classes.csv", "/output": "/out"},
    ),
    "evaluate": (
        "evaluate",
        {"input": "/features", "extra": ("/model", "--unfamiliar", "s3://bucket/others")},
        "evaluate /classifier --features /features --output /output --unfamiliar s3://bucket/others",
        {"/features": "/features", "/classifier": "/model", "/output": "/out"},
    ),
    "predict": (
        "predict",
        {"input": "/photos", "extra": ("/model", "--overwrite", "--master", "local[9]")},
        "predict /classifier --input /input --output /output --overwrite",
        {"/input": "/photos", "/classifier": "/model", "/output": "/out"},
    ),
    "predict photos": (
        "predict",
        {"input": None, "output": None, "extra": ("/model", "/a/1.jpg", "/b/1.jpg", "/a/1.jpg")},
        "predict /classifier /photos/a/1.jpg /photos/b/1.jpg /photos/a/1.jpg",
        {"/classifier": "/model", "/photos/a/1.jpg": "/a/1.jpg", "/photos/b/1.jpg": "/b/1.jpg"},
    ),
    "export": (
        "export",
        {"input": None, "output": "/robot/fruit.tflite", "extra": ("/model", "--quantize", "int8", "--photos", "/p")},
        "export /classifier --output /output/fruit.tflite --quantize int8 --photos /photos",
        {"/classifier": "/model", "/photos": "/p", "/output": "/robot"},
    ),
    "all in S3": (
        "export",
        {"input": None, "output": "s3://bucket/fruit.tflite", "extra": ("s3://bucket/model",)},
        "export s3://bucket/model --output s3://bucket/fruit.tflite",
        {},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_every_command_gets_what_its_flags_name(spec: Spec, case: str) -> None:
    command, places, words, mounts = CASES[case]
    asked = dict(places)
    extra = asked.pop("extra")
    run = planned(replace(spec, command=command, arguments=()), *extra, **asked)
    place = run.command.index("local:///opt/orchard/main.py")
    assert " ".join(run.command[place + 1 :]) == words
    assert mounts_of(run) == {target: (source, target != "/output") for target, source in mounts.items()}
    assert str(run.output) == mounts.get("/output", "None")


@pytest.fixture
def typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Typed:
    """Runs `run-local` for a command, among an output of a run, a classifier and a photo: code, output and errors."""
    for name in ("out/features", "model", "photos"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "photos" / "1.jpg").touch()
    monkeypatch.chdir(tmp_path)
    content = json.loads((ROOT / SPEC_FILE).read_text(encoding="utf-8"))

    def run(command: str, words: str) -> tuple[int, str, str]:
        (tmp_path / SPEC_FILE).write_text(json.dumps({**content, "command": command, "arguments": []}))
        code = main(["run-local", "--tree", str(ROOT), "--image", "orchard:x", *words.split()])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.mark.parametrize(
    ("command", "words", "mounted"),
    [
        ("train", "--input out --output new", ["out,target=/features,readonly", "new,target=/output"]),
        (
            "evaluate",
            "--input out --output new -- model",
            ["out,target=/features,readonly", "model,target=/classifier"],
        ),
        (
            "predict",
            "--input photos --output new -- model",
            ["photos,target=/input,readonly", "model,target=/classifier"],
        ),
        (
            "predict",
            "-- model photos/1.jpg",
            ["model,target=/classifier", "photos/1.jpg,target=/photos{here}/photos/1.jpg,readonly"],
        ),
        ("export", "--output new/x.tflite -- model", ["model,target=/classifier,readonly", "new,target=/output"]),
    ],
)
def test_the_docker_run_line_of_every_command(typed: Typed, command: str, words: str, mounted: list[str]) -> None:
    code, out, err = typed(command, f"--dry-run {words}")
    assert (code, err) == (0, "")
    (line,) = out.splitlines()
    assert "docker run " in line
    assert f"local:///opt/orchard/main.py {command} " in line
    assert "--network none" in line
    for mount in mounted:
        assert f"type=bind,source={Path.cwd()}/{mount.format(here=Path.cwd())}" in line


@pytest.mark.parametrize(
    ("command", "words", "message"),
    [
        ("run", "--output new", "--input: run needs one"),
        ("train", "--output new", "--input: train needs one"),
        ("train", "--input out", "--output: train needs one"),
        ("train", "--input none --output new", "--input none: no such folder: name what train is to read"),
        ("train", "--input photos/1.jpg --output new", "--input photos/1.jpg: no such folder"),
        ("run", "--input none --output new", "--input none: no such folder: name what run is to read"),
        (
            "run",
            "--input file:///photos --output new",
            "--input file:///photos: name a path on this machine, or a full",
        ),
        ("train", "--input out --output new -- --test none", "--test none: no such file or folder"),
        ("train", "--input out --output new -- --labels none.csv", "--labels none.csv: no such file or folder"),
        ("evaluate", "--input out --output new", "CLASSIFIER"),
        ("evaluate", "--input out --output new -- none", "CLASSIFIER none: no such file or folder"),
        ("evaluate", "--input out --output new -- s3://{bucket}/model", "a full address of s3://"),
        ("predict", "-- model", "give photos, or --input and --output"),
        ("predict", "-- model none.jpg", "PHOTO none.jpg: no such file or folder"),
        ("predict", "--input photos --output photos/new -- model", "is inside --input photos"),
        ("predict", "--input photos -- model", "give photos, or --input and --output"),
        ("export", "--input out --output x.tflite -- model", "--input out: export reads none"),
        ("export", "-- model", "--output: export needs one"),
        ("export", "--output x.tflite -- model --photos none", "--photos none: no such file or folder"),
    ],
)
def test_what_a_command_cannot_do_with_is_one_line(typed: Typed, command: str, words: str, message: str) -> None:
    code, out, err = typed(command, words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err
    assert not Path("new").exists()


@pytest.mark.parametrize(
    ("words", "network"),
    [("--output new", "none"), ("--output s3://bucket/new", "bridge"), ("--output new -- --test s3://b/t", "bridge")],
)
def test_a_container_gets_a_network_where_any_place_is_in_s3(typed: Typed, words: str, network: str) -> None:
    code, out, _ = typed("train", f"--dry-run --input out {words}")
    assert code == 0
    assert f"--network {network} " in out


def test_plan_run_mounts_a_backbone_of_ones_own(spec: Spec, tmp_path: Path) -> None:
    run = planned(spec, "--backbone", str(tmp_path))
    assert run.command[-2:] == ("--backbone", "/backbone")
    assert mounts_of(run)["/backbone"] == (str(tmp_path), True)
    assert planned(spec, "--backbone", "mobilenet_v2").mounts == planned(spec).mounts
