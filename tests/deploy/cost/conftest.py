"""Fixtures of the tests of cost: those of runs."""

from tests.deploy.runs.conftest import cloud, ready, site, type_command

__all__ = ["cloud", "ready", "site", "type_command"]
