"""Measurements of Orchard against its peers: `python -m bench`, or `make bench`. Nothing imports this package."""
