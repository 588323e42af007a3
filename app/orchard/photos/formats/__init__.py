"""Files: signatures (what bytes are), opening (with Pillow, quietly), samples (more than 8 bits a sample)."""
