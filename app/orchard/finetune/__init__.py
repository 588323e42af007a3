"""Fine-tuning a backbone on photos of one's own: what comes out is a baked backbone, for `orchard run --backbone`.

options, command (the flags), photo_set (photos, classes, what is held out), epochs (which photos, in which batches),
looks (how a photo is changed), views (from photos to what the tuned blocks take), head (the first softmax), state
(continuing after a kill), training (the epochs), finetune (all steps), curve (the figure). TensorFlow is used in
`orchard.network.tuning` only.
"""
