"""From frozen or random weights to a trained classifier."""
