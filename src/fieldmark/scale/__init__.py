"""More machines: the only place that imports the distributed engine."""
