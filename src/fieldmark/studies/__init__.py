"""Studies: what recipe fields do, by designed experiments and searches. No torch, no photos."""
