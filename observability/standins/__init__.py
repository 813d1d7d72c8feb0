"""Servers that stand in for backends which can't be run here: for tests and benchmarks, never for an installation."""
