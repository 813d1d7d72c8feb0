"""Pages in the language of their reader: who chooses it, where it is kept, and what stays English for programs."""

import json
import re
from types import SimpleNamespace

import pytest
from asgiref.sync import sync_to_async
from django.core import mail
from django.test import AsyncClient, Client
from django.utils.translation import get_language, override

from training.jobs.news import Parts
from training.journal.reader import records_after
from training.live.bulletin import bulletin_make
from training.models import Role, TrainingJob, User
from training.people.accounts import password_reset_ask
from training.people.invitations import invite
from training.people.mails import mails_flush
from training.tests.journal_entries import lines, metrics, tell
from training.tests.rest_program import Program

pytestmark = pytest.mark.django_db
KOREAN = {"headers": {"accept-language": "ko-KR,ko;q=0.9,en;q=0.8"}}
HANGUL = re.compile("[가-힣]")


def signed(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def language_of(page: str) -> str:
    found = re.search(r'<html lang="(\w+)"', page)
    assert found is not None
    return found[1]


def test_a_stranger_reads_in_the_browsers_language() -> None:
    assert language_of(Client().get("/sign-in/").text) == "en"
    korean = Client(**KOREAN).get("/sign-in/")
    assert language_of(korean.text) == "ko" == korean["Content-Language"]
    assert {"Accept-Language", "Cookie"} <= {name.strip() for name in korean["Vary"].split(",")}
    assert language_of(Client(headers={"accept-language": "fr"}).get("/sign-in/").text) == "en"


def test_an_english_page_loads_no_words_and_a_korean_one_does() -> None:
    assert "words-" not in Client().get("/sign-in/").text
    assert "js/words-ko" in Client(**KOREAN).get("/sign-in/").text


def test_a_stranger_chooses_by_a_cookie() -> None:
    client = Client()
    answer = client.post("/language/", {"language": "ko"}, headers={"referer": "http://testserver/sign-up/"})
    assert (answer.status_code, answer["Location"]) == (302, "http://testserver/sign-up/")
    assert language_of(client.get("/sign-up/").text) == "ko"
    client.post("/language/", {"language": ""})
    assert language_of(client.get("/sign-up/").text) == "en"


def test_a_choice_is_kept_with_the_person_on_every_browser(cast: SimpleNamespace) -> None:
    signed(cast.owner).post("/language/", {"language": "ko"})
    cast.owner.refresh_from_db()
    assert cast.owner.language == "ko"
    elsewhere = signed(cast.owner)
    page = elsewhere.get("/account/").text
    assert language_of(page) == "ko" and re.search(r'value="ko" lang="ko" selected', page)
    elsewhere.post("/language/", {"language": "en"})
    elsewhere.cookies["django_language"] = "ko"
    assert language_of(elsewhere.get("/account/", **KOREAN).text) == "en"  # the person's word comes first


@pytest.mark.parametrize("place", ["https://evil.example/", "//evil.example/", "javascript:alert(1)", ""])
def test_nobody_is_sent_elsewhere(place: str) -> None:
    answer = Client().post(
        "/language/", {"language": "ko", "next": place}, headers={"referer": "https://evil.example/x"}
    )
    assert answer["Location"] == "/"


def test_a_language_that_is_not_there_is_refused(cast: SimpleNamespace) -> None:
    client = signed(cast.owner)
    assert client.post("/language/", {"language": "tlh"}).status_code == 400
    assert client.get("/language/").status_code == 405
    cast.owner.refresh_from_db()
    assert cast.owner.language == ""


def test_errors_are_told_in_the_readers_language() -> None:
    assert language_of(Client(**KOREAN).get("/nowhere/").text) == "ko"


def test_programs_hear_english(cast: SimpleNamespace, program: Program, job: TrainingJob) -> None:
    User.objects.update(language="ko")
    client = signed(cast.owner)
    refused = client.get("/api/v1/training/jobs/999999")
    assert refused.status_code == 404 and not HANGUL.search(refused.text)
    assert "Content-Language" not in refused
    for address in ("/healthz", f"/jobs/{job.pk}/log.txt", f"/jobs/{job.pk}/metrics.json", "/jobs/table.csv"):
        assert "Content-Language" not in client.get(address, **KOREAN)
    assert language_of(client.get("/api/docs").text) == "ko"


@pytest.mark.django_db(transaction=True)
async def test_the_servers_own_way_speaks_the_language_too(cast: SimpleNamespace) -> None:
    """Daphne calls the middlewares without a thread of their own."""
    client = AsyncClient()
    assert language_of((await client.get("/sign-in/", **KOREAN)).text) == "ko"
    await sync_to_async(User.objects.update)(language="en")
    await sync_to_async(client.force_login)(cast.owner)
    assert language_of((await client.get("/account/")).text) == "en"
    assert get_language() == "en"


def test_a_page_reads_nothing_more_for_it(cast: SimpleNamespace, django_assert_num_queries: object) -> None:
    client = signed(cast.owner)
    with django_assert_num_queries(3):  # type: ignore[operator]  # session, person, organizations
        client.get("/account/")


def test_letters_are_in_the_readers_language(cast: SimpleNamespace) -> None:
    cast.owner.language = "ko"
    cast.owner.save()
    password_reset_ask(cast.owner.email)
    password_reset_ask(cast.teammate.email)
    mails_flush()
    korean, english = (message.subject + str(message.body) for message in mail.outbox)
    assert HANGUL.search(korean) and not HANGUL.search(english)


def test_an_invitation_is_in_the_language_of_who_invites_unless_the_reader_has_one(cast: SimpleNamespace) -> None:
    User.objects.filter(pk=cast.owner.pk).update(language="ko")
    cast.owner.refresh_from_db()
    invite(cast.organization, "new@example.com", Role.GUEST, cast.owner)
    User.objects.filter(pk=cast.stranger.pk).update(language="en")
    invite(cast.organization, cast.stranger.email, Role.GUEST, cast.owner)
    first, second = (str(message.body) for message in mail.outbox)
    assert HANGUL.search(first) and not HANGUL.search(second)


def test_numbers_for_scripts_are_the_same_in_both(cast: SimpleNamespace, job: TrainingJob) -> None:
    tell(job, metrics(step=1234567, loss=0.5, **{"metrics/mAP50-95(B)": 1234.5}), lines("one"))
    client = signed(cast.owner)
    pattern = re.compile(r'(?:data-[a-z-]+|value|max|min)="(-?[\d.,]+)"')
    english, korean = (client.get(f"/jobs/{job.pk}/", headers={"accept-language": one}).text for one in ("en", "ko"))
    assert language_of(korean) == "ko"
    clock = re.compile(r'"\d{10}(\.\d+)?"')
    assert pattern.findall(clock.sub("", english)) == pattern.findall(clock.sub("", korean)) != []


def test_a_bulletin_is_made_once_for_each_language(job: TrainingJob, monkeypatch: pytest.MonkeyPatch) -> None:
    from training.live import bulletin as room

    made: list[str] = []
    monkeypatch.setattr(room, "render_to_string", lambda *words: made.append(str(get_language())) or "text")
    tell(job, metrics(step=1, loss=1.0))
    records = records_after(job.pk, 0, 10)
    with override("ko"):
        assert bulletin_make(job.pk, 0, records, Parts.all()).html == {"en": "text"}
    both = bulletin_make(job.pk, 0, records, Parts.all(), ["en", "ko"])
    assert made == ["en", "en", "ko"] and both.html.keys() == {"en", "ko"}
    assert json.loads(both.points)["seq"] == 1
