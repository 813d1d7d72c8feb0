"""Experiments: notes that nobody overwrites unread, Markdown that only reads, tags, stars, and jobs side by side."""

import re
from types import SimpleNamespace

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.test.utils import CaptureQueriesContext

from training.models import AuditEntry, Experiment, JobState, MetricSummary, Role, Star, TrainingJob
from training.projects.notes import NotesChanged, experiment_notes_write
from training.projects.results import results_of
from training.projects.services import experiment_edit
from training.templatetags.notes import markdown
from training.tests.conftest import job_make, person
from training.tests.test_pages import EVIL, browser, text_of

pytestmark = pytest.mark.django_db
PRIMARY = "metrics/mAP50-95(B)"


@pytest.fixture
def address(cast: SimpleNamespace) -> str:
    return f"/experiments/{cast.experiment.pk}/"


def summary(job: TrainingJob, name: str, best: float, epoch: int = 3) -> None:
    MetricSummary.objects.create(job=job, name=name, count=1, best=best, best_epoch=epoch, minimum=best, maximum=best)


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        '<img src=x onload=alert(1) hx-get="/evil">',
        "[a](javascript:alert(1)) [b](JaVaScRiPt:alert(1)) [c](&#106;avascript:alert(1)) <javascript:alert(1)>",
        "[a](data:text/html;base64,PHNjcmlwdD4=) [v](vbscript:x) [f](file:///etc/passwd)",
        '[a](https://x.y "onmouseover=alert(1)" ) [b](<https://x.y" onclick="alert(1)>)',
        "![x](https://evil/tracker.png)",
        "[x]: javascript:alert(1)\n\n[x]",
        '```html" onload=alert(1)\n<script>\n```',
        "| <script>x</script> |\n|---|\n| <img src=x onerror=y> |",
    ],
)
def test_markdown_never_gives_a_browser_anything_to_run(text: str) -> None:
    html = markdown(text)
    for tag in re.findall(r"<[^>]*>", html):
        assert not re.match(r"</?(script|img|iframe|svg|form|input|object|style)", tag, re.I), tag
        assert not re.search(r"\s(on\w+|hx-\w+|style)=", re.sub(r'"[^"]*"', '""', tag)), tag
        assert not re.search(r'href="\s*(javascript|data|vbscript|file)', tag, re.I), tag


def test_markdown_reads_what_people_write() -> None:
    html = markdown("# 결과\n\n**0.71** at [the run](/jobs/3/)\n\n- [x](https://example.org)\n\n| a |\n|---|\n| 1 |")
    assert "<h3>결과</h3>" in html and "<strong>0.71</strong>" in html and "<td>1</td>" in html
    assert html.count('rel="noopener noreferrer nofollow"') == 2


@pytest.fixture(params=["experiment", "job"])
def noted(request: pytest.FixtureRequest, cast: SimpleNamespace) -> str:
    """The address of something that one writes notes on."""
    return f"/experiments/{cast.experiment.pk}/" if request.param == "experiment" else f"/jobs/{job_make(cast).pk}/"


def test_notes_are_written_and_shown(cast: SimpleNamespace, noted: str) -> None:
    owner = browser(cast.owner)
    response = owner.post(f"{noted}notes/", {"notes": "Larger images **helped**", "version": 0})
    assert response["Location"] == f"{noted}#notes"
    page = text_of(owner, noted)
    assert "<strong>helped</strong>" in page and "owner, " in page
    entry = AuditEntry.objects.latest("pk")
    assert entry.action.endswith(".notes") and entry.new == {"notes": "Larger images **helped**"}


def test_the_second_of_two_writers_sees_both_texts_and_decides(cast: SimpleNamespace, noted: str) -> None:
    other, owner = browser(person("other", cast.organization, Role.MANAGER)), browser(cast.owner)
    other.post(f"{noted}notes/", {"notes": "Theirs <b>", "version": 0})
    response = owner.post(f"{noted}notes/", {"notes": "Mine <i>", "version": 0})
    page = response.content.decode()
    assert response.status_code == 409 and "other has changed these notes" in page
    assert "Theirs &lt;b&gt;" in page and "Mine &lt;i&gt;" in page and 'name="version" value="1"' in page
    assert "Theirs &lt;b&gt;" in text_of(owner, f"{noted}notes/")
    owner.post(f"{noted}notes/", {"notes": "Both", "version": 1})
    assert "Both" in text_of(owner, noted)


def test_the_same_text_twice_is_no_conflict(cast: SimpleNamespace) -> None:
    experiment_notes_write(cast.experiment, "same", 0, cast.owner)
    assert experiment_notes_write(cast.experiment, "same", 0, cast.owner).notes_version == 1
    with pytest.raises(NotesChanged):
        experiment_notes_write(cast.experiment, "another", 0, cast.owner)


def test_notes_that_are_too_long_are_refused(cast: SimpleNamespace, address: str) -> None:
    response = browser(cast.owner).post(f"{address}notes/", {"notes": "x" * 100_001, "version": 0})
    assert response.status_code == 422 and "100,000 characters" in response.content.decode()


def test_tags_are_kept_once_and_find_the_experiment(cast: SimpleNamespace, address: str) -> None:
    owner = browser(cast.owner)
    owner.post(f"{address}edit/", {"name": "First", "tags": " night , night,주간,  "})
    assert [tag.name for tag in cast.experiment.tags.all()] == ["night", "주간"]
    project = f"/projects/{cast.experiment.project_id}/"
    assert address in text_of(owner, f"{project}?tag=night") and address not in text_of(owner, f"{project}?tag=x")


@pytest.mark.parametrize("tags", [["x" * 41], ["a\x00"], [f"t{number}" for number in range(21)]])
def test_tags_that_cannot_be_kept_are_refused(cast: SimpleNamespace, tags: list[str]) -> None:
    with pytest.raises(ValidationError):
        experiment_edit(cast.experiment, "First", tags)
    assert not cast.experiment.tags.exists()


def test_a_name_that_is_taken_is_refused_at_its_field(cast: SimpleNamespace, address: str) -> None:
    Experiment.objects.create(project=cast.experiment.project, name="Second")
    response = browser(cast.owner).post(f"{address}edit/", {"name": "Second", "tags": ""})
    assert response.status_code == 422 and "already has an experiment" in response.content.decode()


def test_a_star_is_ones_own(cast: SimpleNamespace, address: str) -> None:
    guest, job = browser(cast.teammate), job_make(cast)
    guest.post(f"{address}star/")
    guest.post(f"{address}star/")
    assert 'aria-pressed="true"' in guest.post(f"/jobs/{job.pk}/star/", headers={"HX-Request": "true"}).content.decode()
    assert Star.objects.count() == 2 and "Starred by you" in text_of(guest, "/projects/")
    assert "Starred by you" not in text_of(browser(cast.owner), "/projects/")
    guest.post(f"{address}star/", {"starred": "no"})
    assert Star.objects.get().job == job


def test_a_star_leads_back_to_this_site_only(cast: SimpleNamespace, address: str) -> None:
    guest = browser(cast.teammate)
    assert guest.post(f"{address}star/", {"next": "/projects/"})["Location"] == "/projects/"
    assert guest.post(f"{address}star/", {"next": "https://evil.example/"})["Location"] == address


def test_jobs_stand_side_by_side_with_the_best_of_each(cast: SimpleNamespace, address: str) -> None:
    low = job_make(cast, JobState.COMPLETED, name="low", config={"epochs": 5, "imgsz": 640})
    high = job_make(cast, JobState.COMPLETED, name="high", config={"epochs": 9, "imgsz": 640})
    for job, value in ((low, 0.25), (high, 0.75)):
        summary(job, PRIMARY, value)
        summary(job, "system/cpu", 99.0)
    results = results_of([low, high])
    assert results.metrics == [PRIMARY] and [row.best[0].value for row in results.rows if row.best[0]] == [0.25, 0.75]
    assert [row.differs for row in results.rows] == [[("epochs", 5)], [("epochs", 9)]]
    page = text_of(browser(cast.teammate), f"{address}?sort=best")
    assert page.index(">high<") < page.index(">low<") and "epoch 3" in page and "metric leads" in page


def test_jobs_without_numbers_are_shown_without_them(cast: SimpleNamespace, address: str) -> None:
    job_make(cast, trainer="gone", name="of a trainer that was removed")
    job_make(cast)
    assert "of a trainer that was removed" in text_of(browser(cast.owner), f"{address}?sort=best")


def test_the_page_of_an_experiment_needs_few_queries(cast: SimpleNamespace, address: str) -> None:
    experiment_edit(cast.experiment, "First", ["a", "b"])
    for number in range(30):
        summary(job_make(cast, JobState.RUNNING, name=f"j{number}", config={"epochs": number}), PRIMARY, number / 30)
    owner = browser(cast.owner)
    for page in (address, f"{address}?sort=best", "/projects/"):
        with CaptureQueriesContext(connection) as queries:
            text_of(owner, page)
        assert len(queries) <= 25


def test_a_guest_reads_and_is_offered_no_changes(cast: SimpleNamespace, address: str) -> None:
    page = text_of(browser(cast.teammate), address)
    assert "/notes/" not in page and "/edit/" not in page and "/archive/" not in page
    assert "Nothing is written down yet." in page


def test_the_page_has_no_inline_scripts_or_styles(cast: SimpleNamespace, address: str) -> None:
    cast.experiment.notes = EVIL
    cast.experiment.save()
    page = text_of(browser(cast.owner), address)
    assert not re.search(r"<script(?![^>]*\bsrc=)", page) and not re.search(r"<[^>]*\s(style|on\w+)=", page)
