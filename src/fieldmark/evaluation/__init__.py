"""From a saved table of logits to numbers with intervals; NumPy only."""
