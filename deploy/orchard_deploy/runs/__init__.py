"""Runs on AWS, started once, watched and explained; AWS alone knows which there are.

submit: starts one. payloads, spark: the input of the call that does. watch, stay: a run up to its end, and what becomes
of it when nobody stays. logs: its lines. status: everything there is. symptoms: what known failures mean.
"""
