"""Lengths of time in words."""

from django.utils.translation import gettext, gettext_noop

# seconds, and how many of them ago
AGO = (
    (86400, gettext_noop("%(count)s d ago")),
    (3600, gettext_noop("%(count)s h ago")),
    (60, gettext_noop("%(count)s min ago")),
)


def duration(seconds: float | None) -> str:
    """Seconds in words: 42 s, 3 min 05 s, 2 h 14 min, 3 d 4 h."""
    if seconds is None:
        return "–"
    whole = max(0, round(seconds))
    if whole < 60:
        return gettext("%(seconds)s s") % {"seconds": whole}
    if whole < 3600:
        return gettext("%(minutes)s min %(seconds)s s") % {"minutes": whole // 60, "seconds": f"{whole % 60:02}"}
    if whole < 86400:
        hours, minutes = whole // 3600, f"{whole % 3600 // 60:02}"
        return gettext("%(hours)s h %(minutes)s min") % {"hours": hours, "minutes": minutes}
    return gettext("%(days)s d %(hours)s h") % {"days": whole // 86400, "hours": whole % 86400 // 3600}


def ago_words(seconds: float) -> str:
    """The same words as in static/js/page.js, so that nothing flashes when that takes over."""
    for size, words in AGO:
        if seconds >= (size if size > 60 else 45):
            return gettext(words) % {"count": max(1, int(seconds / size + 0.5))}
    return gettext("just now")
