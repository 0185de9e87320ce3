"""The report of a run: one HTML file that explains it, built from the run folder alone."""
