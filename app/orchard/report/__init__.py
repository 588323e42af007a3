"""The report: contents (what the tables hold), writing (JSON and page.html), figures, text (numbers, summary)."""
