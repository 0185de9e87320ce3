"""Training: a linear probe on frozen features, or every weight."""
