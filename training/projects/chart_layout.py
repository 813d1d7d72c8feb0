"""A person's own layout of a project's charts: read, checked and kept."""

import math
from typing import Any

from training.models import ChartLayout, Project, User

AXES = ("step", "epoch", "time", "wall")
LISTS = ("order", "hidden", "folded")
MOST = 500  # entries of one list
LONGEST = 300  # characters of one entry


class LayoutRefused(ValueError):
    """The layout makes no sense; the text says where."""


def chart_layout_of(user: User, project: Project) -> dict[str, Any]:
    """What the person has chosen there; empty if nothing yet."""
    kept = ChartLayout.objects.filter(user=user, project=project).values_list("layout", flat=True).first()
    return dict(kept or {})


def chart_layout_save(user: User, project: Project, wanted: Any) -> None:
    """Keep a layout in place of the one before. Raises LayoutRefused."""
    layout = chart_layout_clean(wanted)
    ChartLayout.objects.update_or_create(user=user, project=project, defaults={"layout": layout})


def chart_layout_clean(wanted: Any) -> dict[str, Any]:
    """Only what a layout may hold, within its bounds; long lists keep their newest entries."""
    if not isinstance(wanted, dict):
        raise LayoutRefused("expected an object")
    smooth = wanted.get("smooth", 0)
    if isinstance(smooth, bool) or not isinstance(smooth, int | float) or not math.isfinite(smooth):
        raise LayoutRefused("smooth: expected a number")
    if wanted.get("axis", AXES[0]) not in AXES:
        raise LayoutRefused(f"axis: expected one of {', '.join(AXES)}")
    lists = {name: _names(name, wanted.get(name, [])) for name in LISTS}
    axis = wanted.get("axis", AXES[0])
    return {"axis": axis, "smooth": min(0.99, max(0.0, smooth)), "log": wanted.get("log") is True, **lists}


def _names(name: str, values: Any) -> list[str]:
    known = isinstance(values, list) and all(isinstance(one, str) and len(one) <= LONGEST for one in values)
    if not known or any("\x00" in one for one in values):
        raise LayoutRefused(f"{name}: expected a list of names")
    return list(dict.fromkeys(values))[-MOST:]
