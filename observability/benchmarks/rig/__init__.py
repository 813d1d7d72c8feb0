"""What the followers' benchmarks are built from, beside `training.benchmarks.rig`."""
