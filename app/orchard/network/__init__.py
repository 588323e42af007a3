"""The CNN: backbones as data, weights (a baked folder), runtimes (LiteRT, TensorFlow), bake/ (making the weights).

backbone is what one is, backbones/ has them all, choice finds the one that `--backbone` names, memory checks that it
fits.
"""
