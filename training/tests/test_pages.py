"""The web pages: who may open them, what they show, and that nothing of a run acts in them."""

import gzip
import hashlib
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.staticfiles.finders import find
from django.test import Client
from django.urls import reverse

from training.models import Checkpoint, JobAttempt, JobState, TrainingJob
from training.tests.conftest import job_make
from training.tests.journal_entries import event, lines, metrics, named, tell

pytestmark = pytest.mark.django_db
ROOT = Path(__file__).resolve().parent.parent.parent
JOB_PAGES = ["job-page", "job-news", "job-actions", "job-log", "job-log-text", "job-metrics", "job-metrics-csv"]
EVIL = '<img src=x onload=alert(1) hx-get="/evil">'


def browser(user: object) -> Client:
    client = Client()
    client.force_login(user)  # type: ignore[arg-type]
    return client


def text_of(client: Client, address: str) -> str:
    response = client.get(address)
    assert response.status_code == 200, response.status_code
    return response.content.decode()


def whole(response: Any) -> str:
    """What a download holds, gathered from its parts."""

    async def gather() -> bytes:
        return b"".join([part async for part in response.streaming_content])

    return async_to_sync(gather)().decode()


def test_someone_not_signed_in_is_sent_to_sign_in(client: Client, job: TrainingJob) -> None:
    response = client.get(reverse("job-page", args=[job.pk]))
    assert response.status_code == 302 and response["Location"].startswith("/sign-in/?next=")


@pytest.mark.parametrize("name", ["job-news", "job-metrics", "job-log-text"])
def test_a_script_that_is_not_signed_in_is_told_401(client: Client, job: TrainingJob, name: str) -> None:
    response = client.get(reverse(name, args=[job.pk]), headers={"HX-Request": "true"})
    assert response.status_code == 401


@pytest.mark.parametrize("name", JOB_PAGES)
def test_a_strangers_job_is_no_different_from_none(cast: SimpleNamespace, job: TrainingJob, name: str) -> None:
    stranger = browser(cast.stranger)
    assert stranger.get(reverse(name, args=[job.pk])).status_code == 404
    assert stranger.get(reverse(name, args=[10**18])).status_code == 404


@pytest.mark.parametrize("name", JOB_PAGES)
def test_a_teammate_opens_every_page(cast: SimpleNamespace, job: TrainingJob, name: str) -> None:
    assert browser(cast.teammate).get(reverse(name, args=[job.pk])).status_code == 200


def test_signing_in_leads_home_and_signing_out_back(cast: SimpleNamespace) -> None:
    client = Client()
    said = {"username": "owner", "password": "a long enough password"}
    assert client.post("/sign-in/", said)["Location"] == reverse("home")
    assert client.post("/sign-out/")["Location"] == reverse("sign-in")
    assert client.get("/jobs/").status_code == 302


def test_a_wrong_password_is_answered_without_saying_what_was_wrong(cast: SimpleNamespace) -> None:
    answers = [Client().post("/sign-in/", {"username": name, "password": "wrong"}) for name in ("owner", "nobody")]
    one, other = (re.search(r'role="alert">(.*?)<', answer.content.decode())[1] for answer in answers)  # type: ignore[index]
    assert one == other


def test_an_empty_list_says_how_to_start(cast: SimpleNamespace) -> None:
    assert "make demo" in text_of(browser(cast.owner), "/jobs/")


def test_the_list_shows_jobs_in_pages(cast: SimpleNamespace) -> None:
    for number in range(51):
        job_make(cast, name=f"job {number}")
    owner = browser(cast.owner)
    assert text_of(owner, "/jobs/").count('class="name"') == 50
    assert text_of(owner, "/jobs/?page=2").count('class="name"') == 1
    assert "job 0" in text_of(owner, "/jobs/?page=nonsense&page=999")


def test_the_list_is_asked_again_for_its_rows_only(cast: SimpleNamespace, job: TrainingJob) -> None:
    response = browser(cast.owner).get("/jobs/", headers={"HX-Request": "true"})
    assert b"<html" not in response.content and b"A job" in response.content


def test_the_page_tells_what_failed_and_what_to_do(cast: SimpleNamespace) -> None:
    job = job_make(cast, JobState.FAILED, error_type="RESOURCE_ERROR", error_message="CUDA out of memory")
    page = text_of(browser(cast.owner), reverse("job-page", args=[job.pk]))
    assert "CUDA out of memory" in page and "smaller batch" in page


def test_a_queued_job_says_why_it_waits(cast: SimpleNamespace, job: TrainingJob) -> None:
    page = text_of(browser(cast.owner), reverse("job-page", args=[job.pk]))
    assert "place 1 in the queue" in page and "No worker is running." in page


def test_nothing_of_a_run_acts_in_a_page(cast: SimpleNamespace) -> None:
    job = job_make(cast, JobState.FAILED, name=EVIL, error_message=EVIL, state_reason=EVIL, config={EVIL: EVIL})
    tell(
        job, named(EVIL, 1.0), lines(EVIL, source=EVIL[:30]), event(type=EVIL, text=EVIL), named(f"system/{EVIL}", 1.0)
    )
    owner = browser(cast.owner)
    for address in ("/jobs/", *(reverse(name, args=[job.pk]) for name in ("job-page", "job-news", "job-log"))):
        page = text_of(owner, address)
        assert "<img" not in page and 'hx-get="/evil' not in page


def test_pages_have_no_inline_scripts_or_styles(cast: SimpleNamespace, job: TrainingJob) -> None:
    tell(job, metrics(step=1, train__loss=1.0), lines("\x1b[31mred"))
    for address in ("/jobs/", reverse("job-page", args=[job.pk])):
        response = browser(cast.owner).get(address)
        page = response.content.decode()
        assert not re.search(r"<script(?![^>]*\bsrc=)", page) and not re.search(r"\s(style|on\w+)=", page)
        assert "default-src 'self'" in response["Content-Security-Policy"]


def test_news_are_the_fragments_that_the_page_includes(cast: SimpleNamespace, job: TrainingJob) -> None:
    seq = tell(job, metrics(step=1, train__loss=1.0))
    tell(job, lines("later"))
    owner = browser(cast.owner)
    response = owner.get(reverse("job-news", args=[job.pk]) + f"?after={seq}")
    page, news = text_of(owner, reverse("job-page", args=[job.pk])), response.content.decode()
    assert response["X-Journal-Seq"] == str(seq + 1) and "later" in news
    for place in ("job-state", "job-header", "job-notices", "job-latest", "job-system", "checkpoints", "events"):
        assert f'id="{place}"' in page and re.search(f'id="{place}"[^>]*hx-swap-oob="true"', news)


def test_cancelling_follows_the_role(cast: SimpleNamespace, job: TrainingJob) -> None:
    address = reverse("job-cancel", args=[job.pk])
    assert browser(cast.stranger).post(address).status_code == 404
    assert browser(cast.teammate).post(address).status_code == 403
    assert browser(cast.owner).get(address).status_code == 405
    assert browser(cast.owner).post(address).status_code == 302
    job.refresh_from_db()
    assert job.state == JobState.CANCELLED
    assert browser(cast.owner).post(address).status_code == 302  # once more: it has ended


def test_cancelling_needs_the_forms_token(cast: SimpleNamespace, job: TrainingJob) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(cast.owner)
    response = client.post(reverse("job-cancel", args=[job.pk]))
    assert response.status_code == 403 and b"Not allowed" in response.content


def test_the_cancel_button_is_there_for_those_who_may(cast: SimpleNamespace, job: TrainingJob) -> None:
    address = reverse("job-actions", args=[job.pk])
    assert "Cancel job" in text_of(browser(cast.owner), address)
    assert "Cancel job" not in text_of(browser(cast.teammate), address)


def test_a_checkpoint_is_downloaded_from_the_store(cast: SimpleNamespace, attempt: JobAttempt) -> None:
    stored = Checkpoint.objects.create(
        job=attempt.job, attempt=attempt, kind="best", key="a/best.pt", size=3, sha256="0" * 64
    )
    address = reverse("checkpoint-download", args=[stored.pk])
    assert "/storage/" in browser(cast.teammate).get(address)["Location"]
    assert browser(cast.stranger).get(address).status_code == 404


def test_a_formula_in_a_csv_cell_is_text(cast: SimpleNamespace, job: TrainingJob) -> None:
    tell(job, named("=cmd()", 1.0), metrics(step=1, train__loss=float("nan")))
    response = browser(cast.owner).get(reverse("job-metrics-csv", args=[job.pk]))
    rows = whole(response).splitlines()
    assert rows[1].startswith("'=cmd(),") and rows[2].startswith("train/loss,2,0,1,,") and rows[2].endswith(",NaN")


def test_the_log_is_downloaded_as_text(cast: SimpleNamespace, job: TrainingJob) -> None:
    tell(job, lines("one <b>"), lines("two"))
    response = browser(cast.owner).get(reverse("job-log-text", args=[job.pk]))
    assert response["Content-Disposition"].startswith("attachment")
    assert [line.split("trainer: ")[1] for line in whole(response).splitlines()] == ["one <b>", "two"]


@pytest.mark.parametrize(
    "query", ["level=x", "level=99", "before=x", "after=9.9.9", "at=nothing", "text=%00", "source=%F0"]
)
def test_a_log_filter_that_is_nonsense_shows_the_log(cast: SimpleNamespace, job: TrainingJob, query: str) -> None:
    assert browser(cast.owner).get(reverse("job-log", args=[job.pk]) + f"?{query}").status_code == 200


@pytest.mark.parametrize("after", ["x", "-1", "9" * 40, "1.5"])
def test_a_cursor_that_is_nonsense_is_refused(cast: SimpleNamespace, job: TrainingJob, after: str) -> None:
    assert browser(cast.owner).get(reverse("job-metrics", args=[job.pk]) + f"?after={after}").status_code == 400


def test_errors_have_pages_of_their_own(client: Client) -> None:
    response = client.get("/no-such-page/")
    assert response.status_code == 404 and b"Nothing here" in response.content


def test_vendored_libraries_are_what_their_list_says() -> None:
    listed = dict(
        re.findall(r"`(uplot/[\w.]+(?:js|css))` \| `(\w{64})`", (ROOT / "static/vendor/README.md").read_text())
    )
    assert len(listed) == 2
    for name, checksum in listed.items():
        assert hashlib.sha256((ROOT / "static/vendor" / name).read_bytes()).hexdigest() == checksum


def test_scripts_and_styles_stay_small() -> None:
    ours = [*(ROOT / "static").rglob("*.js"), *(ROOT / "static").rglob("*.css")]
    theirs = [Path(find(f"django_htmx/{name}")) for name in ("htmx-2.min.js", "ext/hx-ws-2.min.js")]
    sizes = {path.name: len(gzip.compress(path.read_bytes())) for path in (*ours, *theirs)}
    assert len(sizes) > 20 and sum(sizes.values()) < 150_000  # all there is; a page loads a part


def test_a_chart_is_given_the_window_that_it_shows(cast: SimpleNamespace, job: TrainingJob) -> None:
    tell(job, *(metrics(step=step, loss=1.0, other=2.0) for step in range(100)))
    query = {"axis": "step", "start": "10", "end": "20", "width": "300", "name": "loss"}
    (block,) = browser(cast.owner).get(reverse("job-metrics", args=[job.pk]), query).json()["blocks"]
    assert block["names"] == ["loss"] and block["step"] == list(range(10, 21))


@pytest.mark.parametrize(
    "query",
    [
        "axis=pk",
        "axis=step&start=no",
        "axis=step&end=inf",
        "axis=time&start=nan",
        "axis=step&width=1",
        "axis=step&width=9e9",
    ],
)
def test_a_window_that_is_nonsense_is_refused(cast: SimpleNamespace, job: TrainingJob, query: str) -> None:
    assert browser(cast.owner).get(reverse("job-metrics", args=[job.pk]) + f"?{query}").status_code == 400
