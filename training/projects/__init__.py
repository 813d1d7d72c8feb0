"""Projects and their experiments."""
