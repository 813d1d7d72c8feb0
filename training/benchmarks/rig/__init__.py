"""What benchmarks are built from: servers that end by themselves, fresh databases, a load generator."""


class BenchmarkError(Exception):
    """A figure that can't be trusted: a server failed, or what is stored is not what was acknowledged."""
