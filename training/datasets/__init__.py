"""Datasets: read and checked on the way in, split, and frozen as snapshots for each job."""
