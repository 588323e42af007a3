"""count_photos and taken, money_facts, check_budget, money_lines."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from orchard.options import JobOptions
from orchard.photos.buckets import BucketSource
from orchard.photos.photo import Photo, arrange
from orchard_deploy import s3
from orchard_deploy.aws import Aws
from orchard_deploy.cost.money import PRICES_FILE, check_budget, count_photos, money_facts, money_lines, taken
from orchard_deploy.errors import RefusedError
from orchard_deploy.job_commands import COMMANDS
from orchard_deploy.site import S3Place, Site
from orchard_deploy.targets import EKS, SERVERLESS, Target

from tests.deploy.rehearsal.account import Account
from tests.deploy.runs.conftest import Ready


def money(site: Site, target: Target = SERVERLESS, *, photos: int | None = None) -> dict[str, Any]:
    return money_facts(site, target, PRICES_FILE, photos)


def of_command(site: Site, command: str) -> Site:
    return Site(replace(site.spec, command=command), site.account)


@given(
    labels=st.lists(st.sampled_from(["Apple", "Avocado", "Banana", "banana"])),
    varieties=st.none() | st.integers(1, 5),
    per_variety=st.none() | st.integers(1, 5),
)
def test_taken_is_as_many_as_the_job_takes(labels: list[str], varieties: int | None, per_variety: int | None) -> None:
    listed = [Photo(f"{label}/{number}.jpg", label, 1, 1) for number, label in enumerate(labels)]
    job = JobOptions(input="in", output="out", varieties=varieties, per_variety=per_variety)
    assert taken(labels, job) == len(arrange(listed, varieties=varieties, per_variety=per_variety))


def test_count_photos_of_the_input(ready: Ready) -> None:
    ready.cloud.put("photos/Banana/1.jpg")
    ready.cloud.put("photos/Banana/2.txt")
    context = ready.context()
    assert count_photos(context, None, ()) == 2
    assert count_photos(context, None, ("--varieties", "1")) == 1
    assert count_photos(context, 7, ()) == 7
    assert count_photos(ready.context(input="s3://nobodys-bucket/x"), None, ()) is None
    assert count_photos(ready.context(command="export"), None, ()) is None


def test_count_photos_as_the_job_lists_them(rehearsal: Account) -> None:
    rehearsal.behind("s3").create_bucket(Bucket="fruits")
    names = "Apple/1.jpg Apple/2.JPG b/Apple/3.png Fig/.4.jpg .b/Fig/5.jpg Fig/6.txt Fig/7.jpg/ 8.webp"
    for name in names.split():
        rehearsal.write(f"s3://fruits/photos/{name}", b"" if name.endswith("/") else b"x")
    rehearsal.write("s3://fruits/photos of others/Apple/9.jpg", b"x")
    aws = Aws(region=rehearsal.region)
    for place in (S3Place("fruits", "photos"), S3Place("fruits", "")):
        listed = sorted(photo.label for photo in BucketSource(str(place)).list().photos)
        assert sorted(s3.labels(aws, place)) == listed
        assert len(listed) == (4 if place.prefix else 5)


@pytest.mark.parametrize("command", COMMANDS)
def test_money_of_a_command_has_an_estimate_by_photos_alone(site: Site, command: str) -> None:
    found = money(of_command(site, command))
    assert found["worst_case"] == pytest.approx(0.909, abs=0.001)
    assert (found["estimate"] is not None) == COMMANDS[command].photos
    assert "worst case  0.91 USD" in "\n".join(money_lines(found))


@pytest.mark.parametrize(
    ("photos", "counted", "part"), [(None, False, "1,000 photos (an example"), (90_000, True, "for 90,000 photos")]
)
def test_money_lines_of_counted_photos_and_of_an_example(
    site: Site, photos: int | None, counted: bool, part: str
) -> None:
    found = money(site, photos=photos)
    assert part in "\n".join(money_lines(found))
    assert found["estimate"]["photos_counted"] == counted
    assert found["estimate"]["photos"] == (photos or 1000)


def test_money_lines_on_eks_are_of_emrs_part(site: Site) -> None:
    lines = "\n".join(money_lines(money(site, EKS)))
    assert "EMR's part alone" in lines
    assert "nothing ends a run at its time-out" in lines


@pytest.mark.parametrize(
    ("target", "budget", "ends", "fits"),
    [
        (SERVERLESS, None, True, True),
        (SERVERLESS, 1.0, True, True),
        (SERVERLESS, 0.5, True, False),
        (EKS, None, False, True),
        (EKS, 1.0, True, True),
        (EKS, 1.0, False, False),
        (EKS, 0.01, True, False),
    ],
)
def test_check_budget(site: Site, target: Target, budget: float | None, ends: bool, fits: bool) -> None:
    def check() -> None:
        check_budget(money(site, target), budget, ends=ends)

    if fits:
        check()
    else:
        with pytest.raises(RefusedError, match="--budget"):
            check()
