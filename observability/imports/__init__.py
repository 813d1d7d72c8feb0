"""Runs that other tools have recorded, read and made into jobs: `manage.py import_runs`."""
