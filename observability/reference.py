"""What adapters declare, as text: the parts of docs/observability.md and .env.example that are made from it."""

from collections.abc import Iterable
from pathlib import Path

from observability.base import Adapter, Losses
from observability.discovery import find

ROOT = Path(__file__).resolve().parent.parent
GUIDE, EXAMPLE = ROOT / "docs" / "observability.md", ROOT / ".env.example"
BEGIN, END = "<!-- made by manage.py document_backends -->", "<!-- end -->"
HEADING = "# --- Variables of the tracking tools, as their adapters declare them (made by manage.py document_backends)"
LOSSES = {
    "no_points": "no metric points at all",
    "float32": "values are 32-bit floats",
    "merges_equal_points": "points with the same name, step, time and value are one",
    "merges_equal_steps": "one value for each name and step: the last",
    "drops_steps_back": "a step that goes back is dropped",
    "clamps_infinity": "±Inf is the largest finite value",
    "drops_nonfinite": "NaN and ±Inf are dropped",
    "no_time": "no times",
    "milliseconds": "times in whole milliseconds",
}


def adapters() -> list[type[Adapter]]:
    """The adapters that come along, by name."""
    found = sorted(find([]).values(), key=lambda one: one.name)
    return [one.adapter for one in found if one.adapter is not None]


def losses_text(losses: Losses) -> str:
    said = [text for name, text in LOSSES.items() if getattr(losses, name)]
    sentence = "; ".join(said)
    return " ".join(part for part in (f"{sentence[:1].upper()}{sentence[1:]}." if said else "", losses.notes) if part)


def guide_part() -> str:
    """One section for each adapter: what it can't hold, and its variables."""
    return "\n".join(line for adapter in adapters() for line in _section(adapter))


def _section(adapter: type[Adapter]) -> Iterable[str]:
    yield from ("", f"### {adapter.label} (`{adapter.name}`)", "")
    yield f"- What it can't hold: {losses_text(adapter.losses) or 'nothing is lost.'}"
    repeats = "changes nothing" if adapter.repeats_harmless else "may leave the points of one batch twice"
    yield f"- A batch that is sent again after a crash {repeats}. At most {adapter.batch_points} points a call."
    if not adapter.in_process:
        yield f"- Log lines: {'yes' if adapter.takes_lines else 'no'}."
    if adapter.variables:
        yield from ("", "| variable | | meaning |", "|---|---|---|")
    for one in adapter.variables:
        marks = ", ".join(word for word, said in (("needed", one.required), ("secret", one.secret)) if said)
        yield f"| `{one.name}` | {marks} | {one.help} |"


def example_part() -> str:
    """Every variable of every adapter with its sentence."""
    lines: list[str] = []
    seen: set[str] = set()
    for adapter in adapters():
        for one in adapter.variables:
            if one.name not in seen:
                lines += [f"# {adapter.label}: {one.help}", f"{one.name}="]
                seen.add(one.name)
    return "\n".join(lines)


def guide_made(text: str) -> str:
    """The guide with its made part renewed."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{guide_part()}\n\n{END}{after}"


def example_made(text: str) -> str:
    """`.env.example` with its last section renewed."""
    before = text.partition(HEADING)[0].rstrip("\n")
    part = example_part()
    return f"{before}\n\n{HEADING}\n{part}\n" if part else f"{before}\n"
