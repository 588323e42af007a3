"""The report of a run, and what the pages of Orchard share.

contents     what the tables hold
writing      report.json and report.html (page.html)
text         numbers and times as text, the summary in the terminal
figures      the figures of the run's page, and how any figure is drawn
templates    loads the pages' templates; base.html and macros.html are what they share
"""
