"""Data on their way in and out: imports that a maintenance worker runs, and the removal of what was deleted."""
