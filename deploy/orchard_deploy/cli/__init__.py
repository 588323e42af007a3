"""The commands of `orchard-deploy` that look at an account or its image: flags in, lines and JSON out."""
