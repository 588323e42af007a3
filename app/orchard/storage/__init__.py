"""Folders and S3: stores (the files of an output), objects (connections, credentials), faults (errors in words)."""
