"""EMR on EKS: the same specification, the same cap, the same way of staying with a run."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.__main__ import main
from deploy.aws import s3
from deploy.choose import choose_run, known_runs
from deploy.context import Context
from deploy.ensure import down, up
from deploy.errors import RefusedError, RunError, SpecError, WaitError
from deploy.rehearsal.jobs import Stage
from deploy.spec import SPEC_FILE, load_spec
from deploy.submit import Wanted, submit
from deploy.targets import EKS, SERVERLESS, spec_for
from deploy.waiting import Pace
from deploy.watch import Watch, watch
from tests.aws.conftest import CLUSTER, LONG_JOB, NOTHING, QUICK, Theatre, context_of, there, tree_tag
from tests.aws.memory.stage import MemoryStage


def never(question: str) -> None:
    raise AssertionError(question)


def test_a_run_on_eks_from_up_to_its_last_line(tree: Path, stage: MemoryStage) -> None:
    said: list[str] = []
    shown: list[str] = []
    context = context_of(tree, target="eks", said=said)
    up(context)
    submission = submit(context, Wanted(photos=1))
    watched = Watch(context, submission, show=lambda source, line: shown.append(f"{source}: {line}"), patience=0.5)
    ended = watch(watched, seconds=30, detach=False, ask=never)
    assert (ended.state, ended.target, ended.place) == ("COMPLETED", "eks", CLUSTER)
    assert "driver stdout: 50 photos done" in shown
    assert said[-1].endswith("COMPLETED")
    (job,) = stage.containers.floor.jobs.values()
    parameters = job.request["jobDriver"]["sparkSubmitJobDriver"]["sparkSubmitParameters"]
    assert (
        f"spark.kubernetes.container.image=123456789012.dkr.ecr.us-east-1.amazonaws.com/orchard@{submission.digest}"
        in parameters
    )
    assert "spark.executor.instances=2" in parameters
    assert job.request["executionRoleArn"] == "arn:aws:iam::123456789012:role/orchard-eks-job"
    assert job.request["releaseLabel"] == "emr-7.13.0-latest"
    assert stage.serverless.applications == {}


def test_runs_of_others_in_the_same_virtual_cluster_are_not_ours(theatre: Theatre, tree: Path) -> None:
    stage = theatre.open(LONG_JOB)
    context = context_of(tree, target="eks")
    up(context)
    own = submit(context, Wanted())
    job = stage.containers.floor.jobs[own.run or ""]
    stage.containers.floor.put(replace(job, id="0000foreign", created=job.created + 100, tags={"team": "x"}))
    assert choose_run(context, None).run == own.run
    with pytest.raises(RefusedError, match="no such run on eks"):
        choose_run(context, "0000foreign")


def test_down_leaves_no_run_on_eks_without_its_image_and_bucket(theatre: Theatre, tree: Path) -> None:
    stage = theatre.open(LONG_JOB)
    context = context_of(tree, target="eks")
    up(context)
    own = submit(context, Wanted())
    with pytest.raises(RefusedError, match=f"runs are active: {own.run}"):
        down(context_of(tree), force=False, with_data=True)
    assert there(stage)["repositories"] == ["orchard"]
    assert down(context_of(tree), force=True, with_data=True) == []
    assert stage.containers.floor.jobs[own.run or ""].stage is Stage.CANCELLED
    assert there(stage) == NOTHING


def test_a_failed_run_on_eks_says_why(theatre: Theatre, tree: Path) -> None:
    theatre.open("import sys; sys.exit(1)")
    context = context_of(tree, target="eks")
    up(context)
    submission = submit(context, Wanted())
    with pytest.raises(RunError, match="FAILED: USER_ERROR: Job failed"):
        watch(Watch(context, submission, patience=0), seconds=30, detach=False, ask=never)


def test_cancelling_on_eks_is_pending_before_it_is_done(theatre: Theatre, tree: Path) -> None:
    theatre.open("import time; time.sleep(60)")
    said: list[str] = []
    context = context_of(tree, target="eks", said=said)
    up(context)
    submission = submit(context, Wanted())
    assert Watch(context, submission, patience=0).cancel().state == "CANCELLED"
    ((entry, run),) = known_runs(context)
    assert run is not None
    assert (entry.run, run.state) == (submission.run, "CANCELLED")


def test_runs_of_the_two_services_are_kept_apart(tree: Path, stage: MemoryStage) -> None:
    here, eks = context_of(tree), context_of(tree, target="eks")
    up(here)
    first, second = submit(here, Wanted()), submit(eks, Wanted())
    assert [entry.run for entry, _ in known_runs(here)] == [first.run]
    assert [entry.run for entry, _ in known_runs(eks)] == [second.run]


def test_another_base_makes_another_image_with_a_tag_of_its_own(tree: Path) -> None:
    spec = load_spec(tree / SPEC_FILE)
    assert spec_for(spec, SERVERLESS).base_image == "public.ecr.aws/emr-serverless/spark/emr-7.13.0:latest"
    assert spec_for(spec, EKS).base_image == "public.ecr.aws/emr-on-eks/spark/emr-7.13.0:latest"
    assert tree_tag(tree) != tree_tag(tree, "eks")


def test_a_specification_without_eks_says_what_to_add(tree: Path) -> None:
    content = json.loads((tree / SPEC_FILE).read_text())
    del content["eks"]
    (tree / SPEC_FILE).write_text(json.dumps(content))
    with pytest.raises(SpecError, match='eks: the specification has none: add "eks"'):
        spec_for(load_spec(tree / SPEC_FILE), EKS)


def test_a_budget_on_eks_needs_someone_who_ends_the_run(
    tree: Path, stage: MemoryStage, capsys: pytest.CaptureFixture[str]
) -> None:
    context = context_of(tree, target="eks")
    up(context)
    s3.write(context.aws, context.site.input.bucket, "photos/a/1.jpg", b"x")
    words = ["submit", "--target", "eks", "--spec", str(tree / SPEC_FILE), "--tree", str(tree), "--budget", "5"]
    assert main(words) == 1
    assert "nothing ends a run on EKS at its time-out but `submit --wait`" in capsys.readouterr().err
    assert main([*words, "--wait"]) == 0
    captured = capsys.readouterr()
    assert "EMR's part alone; the nodes are billed by EC2 or Fargate" in captured.err
    assert "nothing ends a run at its time-out but `submit --wait`" in captured.err
    assert captured.out.splitlines()[0] == "50 photos done"


class Hours:
    """A clock that stands but for the sleeps, which are short for AWS; what is said is noted with its time."""

    def __init__(self, stage: MemoryStage) -> None:
        self.now, self._stage = 0.0, stage
        self.said: list[tuple[float, str]] = []

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self._stage.clock.sleep(0.05)

    def put_into(self, context: Context) -> Context:
        pace = Pace(first=2, longest=10, clock=lambda: self.now, sleep=self.sleep)
        return replace(context, pace=pace, tell=lambda line: self.said.append((self.now, line)))

    def when(self, text: str) -> float:
        return next(now for now, line in self.said if text in line)


@pytest.mark.parametrize("attempts", [1, 2])
def test_a_run_on_eks_is_ended_at_its_time_out_however_long_someone_would_stay(
    theatre: Theatre, tree: Path, attempts: int
) -> None:
    stage = theatre.open(LONG_JOB, timings=replace(QUICK, scheduling=2))
    hours = Hours(stage)
    context = hours.put_into(context_of(tree, target="eks", timeout_minutes=5, max_attempts=attempts))
    up(context)
    submission = submit(context, Wanted())
    times = f"5 x {attempts} attempts" if attempts > 1 else "5"
    with pytest.raises(WaitError) as caught:
        watch(Watch(context, submission, patience=0), seconds=6000 * 60, detach=False, ask=never)
    assert str(caught.value) == (
        f"run {submission.run}: at work for all of its timeoutMinutes ({times}), and not over; "
        "it was cancelled, and is CANCELLED now"
    )
    assert hours.when(": RUNNING") > 0  # it was seen to wait
    assert hours.when(": CANCEL") == pytest.approx(hours.when(": RUNNING") + 300 * attempts, abs=10)
    assert stage.containers.floor.jobs[submission.run or ""].stage is Stage.CANCELLED
    assert context.record.read().runs[0].state == "CANCELLED"


def test_a_run_on_eks_that_was_at_work_before_someone_came_has_the_rest_of_its_time(
    theatre: Theatre, tree: Path
) -> None:
    stage = theatre.open(LONG_JOB)
    hours, born = Hours(stage), stage.clock.now
    context = hours.put_into(context_of(tree, target="eks", timeout_minutes=5, max_attempts=1))
    up(context)
    submission = submit(context, Wanted())
    while Watch(context, submission, patience=0)._look().state != "RUNNING":
        stage.clock.sleep(0.02)
    came = hours.now
    late = replace(context, now=lambda: born + 240)
    with pytest.raises(WaitError, match="at work for all of its timeoutMinutes"):
        watch(Watch(late, submission, patience=0), seconds=6000 * 60, detach=False, ask=never)
    assert 50 < hours.when(": CANCEL") - came < 80


def test_the_wait_on_eks_is_limited_too(theatre: Theatre, tree: Path) -> None:
    stage = theatre.open(LONG_JOB)
    hours = Hours(stage)
    context = hours.put_into(context_of(tree, target="eks"))
    up(context)
    submission = submit(context, Wanted())
    with pytest.raises(WaitError, match="not after 2 minutes; it was cancelled"):
        watch(Watch(context, submission, patience=0), seconds=120, detach=False, ask=never)
    assert stage.containers.floor.jobs[submission.run or ""].stage is Stage.CANCELLED


def test_the_files_for_eks_hold_a_quota_for_the_namespace(
    tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "plan",
        "--offline",
        "--region",
        "us-east-1",
        "--target",
        "eks",
        "--spec",
        str(tree / SPEC_FILE),
        "--tree",
        str(tree),
    ]
    assert main([*words, "--cli-input", str(tmp_path / "x")]) == 0
    quota = json.loads((tmp_path / "x" / "kubernetes-resource-quota.json").read_text())
    assert quota["kind"] == "ResourceQuota"
    assert "start-job-run" in " ".join(path.name for path in (tmp_path / "x").iterdir())
