"""How well a classifier tells photos apart, and what makes it look better than it is.

evaluate     the command: opens what it names, measures, and writes
measure      one evaluation of a model: read, score, sum up
reading      photos with their features, batch by batch
scores       what a model says of each photo, in a few numbers, and its most confident mistakes
leaks        evaluated photos that the classifier was trained on
metrics      accuracy, calibration, coverage and so on, of arrays (pure NumPy)
contents     the content of evaluation.json (pure)
figures      the page's figures
writing      evaluation.json and evaluation.html (page.html)
text         the summary in the terminal
"""
