"""A classifier as a server: the only place that knows the web framework."""
