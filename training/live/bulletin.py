"""A bulletin: what happened in a job between two numbers of its journal, made once for everyone who watches."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from django.conf import settings
from django.template.loader import render_to_string
from django.utils.translation import override

from training.jobs.news import Parts, news_context
from training.jobs.series import record_blocks, strict_dumps
from training.journal.reader import Record, heads, records_after
from training.live.messages import record_messages
from training.models import RecordKind

RECORDS = 1000  # in one bulletin
ENGLISH = settings.LANGUAGE_CODE
TOO_FAR = 5000  # records that a page is not sent one by one: it reads its charts and log anew


@dataclass(frozen=True)
class Bulletin:
    """Records in (after, seq]. `html` holds fragments for pages by language, `points` the chart points as JSON.

    A page that has applied `points` has all up to `seq`: it is sent last.
    """

    job_id: int
    after: int
    seq: int
    html: Mapping[str, str] = field(default_factory=dict)  # empty where no fragment has changed
    points: str = ""
    records: Sequence[Record] = field(default=(), repr=False)
    gone: bool = False  # there is no such job any more: nothing will follow

    @cached_property
    def messages(self) -> list[tuple[int, str]]:
        """The same for programs: (seq, JSON) for each record. Reads the log lines, so not on the event loop."""
        return record_messages(self.job_id, self.records)


def bulletin_next(job_id: int, after: int, language: str = ENGLISH) -> Bulletin:
    """What one who has all up to `after` needs next; `after` equals `seq` once there is nothing more.

    The last one holds every fragment as it is now. Raises LookupError if the job is gone.
    """
    records = records_after(job_id, after, RECORDS)
    more = len(records) == RECORDS
    return bulletin_make(job_id, after, records, Parts() if more else Parts.all(), [language])


def bulletin_make(
    job_id: int, after: int, records: Sequence[Record], parts: Parts, languages: Collection[str] = (ENGLISH,)
) -> Bulletin:
    """The bulletin of these records, the next after `after`, with the fragments in `parts`, once for each language."""
    seq = records[-1].seq if records else after
    logged = any(record.kind == RecordKind.LOG for record in records)
    html = {}
    if parts or logged:
        told = {language: _fragments(language, job_id, parts, after if logged else None, seq) for language in languages}
        html = {language: text for language, text in told.items() if text}
    points = {"type": "points", "job_id": job_id, "after": after, "seq": seq, "blocks": record_blocks(records)}
    return Bulletin(job_id, after, seq, html, strict_dumps(points), records)


def bulletin_leap(job_id: int, after: int, language: str = ENGLISH) -> Bulletin | None:
    """For a page that is very far behind: the present, and word to read charts and log anew. None if it is near."""
    head = heads([job_id]).get(job_id)
    if head is None or head.seq - after <= TOO_FAR:
        return None
    html = {language: _fragments(language, job_id, Parts.all())}
    leap = {"type": "leap", "job_id": job_id, "after": after, "seq": head.seq}
    return Bulletin(job_id, after, head.seq, html, strict_dumps(leap))


def _fragments(language: str, job_id: int, parts: Parts, after: int | None = None, upto: int | None = None) -> str:
    """`_news.html` in one language. What it shows is read anew for each: sentences are made while reading."""
    with override(language):
        context = news_context(job_id, parts, after, upto)
        return render_to_string("training/_news.html", context | {"pushed": True}).strip()
