"""Fine-tuning: blocks (where a network is cut), tuner (its last blocks in TensorFlow, trained)."""
