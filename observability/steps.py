"""The step under which backends that insist on one get a report."""

from observability.base import Report


def step_of(report: Report) -> int:
    """The report's step; its epoch where none was told; else its number in the journal, which always grows."""
    if report.step is not None:
        return report.step
    return report.epoch if report.epoch is not None else report.seq
