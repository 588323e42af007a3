"""Backbones side by side: what each costs, and how well a classifier on it tells photos apart.

options      the flags (standard library only)
command      the command `compare`
plan         what is run, trained and exported for each backbone, and what is refused (pure)
comparison   the command's work: for each backbone run, train, evaluate, export, measure; then write
measures     what is measured of one backbone (pure)
bootstrap    intervals, by resampling labels (pure NumPy)
dollars      what a run costs on EMR Serverless (pure)
contents     the content of compare.json, and the frontier (pure)
figures      the plot
writing      compare.json and compare.html (page.html)
text         the table in the terminal
"""
