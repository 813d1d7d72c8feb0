"""Wake-ups that `training` sends. They carry no data, and may be lost, late or doubled."""

from django.dispatch import Signal

recorded = Signal()
"""Sent after a commit, from a background thread, with `heads`: {job id: seq that its journal has reached}."""
