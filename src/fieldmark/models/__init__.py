"""Networks: built, given weights, put to predict, and kept as a bundle."""
