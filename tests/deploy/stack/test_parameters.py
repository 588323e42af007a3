"""Parameters of the stack that no specification may have."""

from __future__ import annotations

from dataclasses import replace

import pytest
from orchard_deploy.errors import SpecError
from orchard_deploy.site import Site
from orchard_deploy.stack.parameters import stack_parameters


@pytest.mark.parametrize("output", ["s3://fruits/apples,pears", "s3://fruits/apples ", "s3://fruits/ apples"])
def test_stack_parameters_refuse_locations_with_commas_or_outer_blanks(site: Site, output: str) -> None:
    with pytest.raises(SpecError, match="cannot be a parameter of the stack"):
        stack_parameters(Site(replace(site.spec, output=output), site.account), digest=None, makes_bucket=True)


def test_stack_parameters_refuse_a_name_too_long_for_its_role(site: Site) -> None:
    with pytest.raises(SpecError, match="longer than the 64 characters"):
        stack_parameters(Site(replace(site.spec, name="n" * 51), site.account), digest=None, makes_bucket=True)
