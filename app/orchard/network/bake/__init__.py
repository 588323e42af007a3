"""Baking.

bake (the steps), sources (downloads and files), torch_file (tensors of a .pth), models (Keras and LiteRT,
fingerprint, verifying), command (flags).

Exporting: heads (a backbone and a classifier as one LiteRT model), eight_bits, flatbuffer (the file as objects, and
16 bits), interpreting (running it).
"""
