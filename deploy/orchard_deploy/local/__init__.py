"""The image on this machine: `run-local`."""
