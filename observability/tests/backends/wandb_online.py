"""Weights & Biases online: the same adapter as `wandb`, by the SDK to a server of our own."""

from observability.tests.backends.wandb import online as backend
from observability.tests.backends.wandb import read_online as read

__all__ = ["ADAPTER", "backend", "read", "readable", "signed_zero"]
ADAPTER = "wandb"
readable = False  # the adapter can't read back what is there
signed_zero = False
