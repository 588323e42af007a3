"""Runs on AWS, started once, watched and explained.

planning: the run that a specification makes. submit: starts it. payloads, spark: the input of the call that does.
record: what was submitted. known: which runs there are, and what they ran. watch, stay: a run up to its end, and what
becomes of it when nobody stays. logs: its lines. status: everything there is. symptoms: what known failures mean.
"""
