"""What a run costs: at worst, by estimate, and by its bill."""
