"""What is wrong with a folder of photos, before anything is learned from it."""
