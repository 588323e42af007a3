"""Orchard's job: list photos, featurize them on Spark, standardise, reduce, report."""

__version__ = "0.1.0"
