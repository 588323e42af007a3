"""A classifier as one LiteRT file: export (the steps), metadata (labels inside), measure (what it costs)."""
