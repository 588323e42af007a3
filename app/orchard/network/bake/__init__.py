"""Baking: bake (the steps and the sources), models (Keras and LiteRT, fingerprint, verifying), command (flags)."""
