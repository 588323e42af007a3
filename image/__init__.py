"""What is baked before a job runs: the weights, the run-time model and their manifest."""
