"""Parameters that the template cannot take."""

from __future__ import annotations

from dataclasses import replace

import pytest
from orchard_deploy.errors import SpecError
from orchard_deploy.site import Site
from orchard_deploy.stack.state import stack_parameters


@pytest.mark.parametrize("output", ["s3://fruits/apples,pears", "s3://fruits/apples ", "s3://fruits/ apples"])
def test_stack_parameters_refuse_locations_with_commas_or_outer_blanks(site: Site, output: str) -> None:
    with pytest.raises(SpecError, match="without commas or a blank"):
        stack_parameters(Site(replace(site.spec, output=output), site.account), digest=None, makes_bucket=True)
