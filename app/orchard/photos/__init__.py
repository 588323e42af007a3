"""Photos, from where they are stored to pixels.

photo.py     what a photo, a rejection and a listing are; which files are photos, and in what order; why one is rejected
source.py    opens a folder or a bucket; a folder: listing and reading
buckets.py   a bucket: listing and reading
prefetch.py  reading ahead of the computation
decoding.py  bytes to pixels
formats/     what bytes are; opening with Pillow, quietly; samples of more than 8 bits
copies.py    photos with the same bytes
"""
