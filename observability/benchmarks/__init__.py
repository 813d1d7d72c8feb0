"""What the followers promise, in figures: found and run by `manage.py benchmark`, as `training.benchmarks` says."""
