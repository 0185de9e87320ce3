"""What every layer stands on: errors, files, progress and executors; no tensors, no photos."""
