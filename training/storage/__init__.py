"""Stored bytes: one interface, the stores behind it, and signed addresses."""
