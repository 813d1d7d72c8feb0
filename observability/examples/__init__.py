"""Adapters to copy: see docs/observability.md."""
