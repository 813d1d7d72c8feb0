"""The sockets: who may watch, that nothing is missed or doubled, and that a slow one hurts nobody."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.test import Client

from platform_site.asgi import application
from training.jobs.news import Parts
from training.jobs.services import job_cancel
from training.journal.reader import records_after
from training.live import consumers
from training.live.announcer import announcer
from training.live.bulletin import bulletin_make
from training.live.feed import QUEUE, Feed, Subscriber
from training.live.watcher import watcher
from training.models import JobState, Membership, TrainingJob, User
from training.people.keys import key_create, key_revoke
from training.tests.conftest import job_make
from training.tests.journal_entries import event, lines, metrics, named, tell

pytestmark = pytest.mark.django_db(transaction=True)
Say = Callable[..., Awaitable[int]]
say: Say = sync_to_async(tell)


@pytest.fixture(autouse=True)
def watcher_at_rest() -> Iterator[None]:
    yield
    watcher.stop()
    announcer.stop()


@asynccontextmanager
async def socket(
    user: User | None, job_id: int, door: str = "", origin: str = "http://testserver"
) -> AsyncIterator[WebsocketCommunicator]:
    """A socket of a signed-in browser, accepted."""
    headers = [(b"origin", origin.encode()), (b"host", b"testserver")]
    if user is not None:
        client = Client()
        await sync_to_async(client.force_login)(user)
        headers.append((b"cookie", f"sessionid={client.cookies['sessionid'].value}".encode()))
    connection = WebsocketCommunicator(application, f"/ws/training/{job_id}/{door}", headers)
    accepted, _ = await connection.connect(timeout=5)
    assert accepted
    yield connection
    await connection.disconnect()


async def closed_with(connection: WebsocketCommunicator) -> int:
    return (await connection.receive_output(timeout=5))["code"]


async def frames(connection: WebsocketCommunicator, until: int) -> list[str]:
    """What is sent until the cursor has come to `until`."""
    found = []
    while True:
        text = (await connection.receive_output(timeout=5))["text"]
        found.append(text)
        if text.startswith("{") and json.loads(text)["seq"] >= until:
            return found


def seqs_of(texts: list[str]) -> list[int]:
    points = [json.loads(text) for text in texts if text.startswith("{")]
    return [seq for message in points for block in message["blocks"] for seq in block["seq"]]


async def test_a_page_catches_up_and_is_then_told_what_comes(cast: SimpleNamespace, job: TrainingJob) -> None:
    await say(job, metrics(step=1, train__loss=1.0), metrics(step=2, train__loss=0.5))
    async with socket(cast.owner, job.pk) as page:
        await page.send_to(json.dumps({"after": 1}))
        assert seqs_of(await frames(page, 2)) == [2]
        await say(job, metrics(step=3, train__loss=0.25))
        assert seqs_of(await frames(page, 3)) == [3]


async def test_nothing_is_sent_before_the_page_says_where_it_stands(cast: SimpleNamespace, job: TrainingJob) -> None:
    await say(job, metrics(step=1, train__loss=1.0))
    async with socket(cast.owner, job.pk) as page:
        assert await page.receive_nothing(timeout=0.5)


async def test_fragments_replace_their_places(cast: SimpleNamespace, job: TrainingJob) -> None:
    async with socket(cast.teammate, job.pk) as page:
        await page.send_to(json.dumps({"after": 0}))
        await frames(page, 0)
        await sync_to_async(job_cancel)(job, cast.owner, "no longer needed")
        html = "".join(text for text in await frames(page, 1) if text.startswith("<"))
        assert 'id="job-state" data-state="cancelled" hx-swap-oob="true"' in html and "no longer needed" in html


async def test_each_page_hears_its_own_language(cast: SimpleNamespace, job: TrainingJob) -> None:
    async with socket(cast.owner, job.pk) as english, socket(cast.teammate, job.pk) as korean:
        await english.send_to(json.dumps({"after": 0, "language": "en"}))
        await korean.send_to(json.dumps({"after": 0, "language": "ko"}))
        for page in (english, korean):
            await frames(page, 0)
        seq = await say(job, event(type="checkpoint", kind="last", epoch=1))
        heard = ["".join(text for text in await frames(page, seq) if text[0] == "<") for page in (english, korean)]
        assert ["None yet: the trainer" in text for text in heard] == [True, False]
        assert ["아직 없음: 트레이너가" in text for text in heard] == [False, True]


async def test_who_comes_between_two_bulletins_misses_nothing(cast: SimpleNamespace, job: TrainingJob) -> None:
    """A bulletin that was made before somebody of another language came holds no word for them: they read it anew."""
    async with socket(cast.owner, job.pk) as page:
        await page.send_to(json.dumps({"after": 0, "language": "ko"}))
        await frames(page, 0)
        seq = await say(job, lines("a line that counts"))
        feed = Feed(job.pk, watcher._feeds[job.pk].subscribers)
        watcher.stop()
        feed.publish(
            await sync_to_async(bulletin_make)(job.pk, 0, await sync_to_async(records_after)(job.pk, 0, 9), Parts())
        )
        assert "a line that counts" in "".join(await frames(page, seq))


async def test_no_point_is_missed_or_doubled_over_random_disconnects(cast: SimpleNamespace, job: TrainingJob) -> None:
    chance, have, seen = random.Random(7), 0, []

    async def run() -> None:
        for step in range(1, 121):
            await say(job, metrics(step=step, train__loss=1.0 / step))
            await asyncio.sleep(chance.random() / 50)

    writing = asyncio.create_task(run())
    while have < 120:
        async with socket(cast.owner, job.pk) as page:
            await page.send_to(json.dumps({"after": have}))
            for _ in range(chance.randint(1, 6)):
                try:
                    text = (await page.receive_output(timeout=1))["text"]
                except TimeoutError:
                    break
                new = [seq for seq in seqs_of([text]) if seq > have]  # as the page does
                seen += new
                have = max([have, *new])
                if have >= 120:
                    break
    await writing
    assert seen == list(range(1, 121))


async def test_a_change_by_another_process_shows_within_a_tick(cast: SimpleNamespace, job: TrainingJob) -> None:
    from training import signals

    async with socket(cast.owner, job.pk) as page:
        await page.send_to(json.dumps({"after": 0}))
        await frames(page, 0)
        signals.recorded.disconnect(dispatch_uid="live-watcher")
        await say(job, metrics(step=1, train__loss=1.0))
        assert seqs_of(await frames(page, 1)) == [1]


async def test_a_page_that_is_far_behind_is_told_to_read_anew(cast: SimpleNamespace, job: TrainingJob) -> None:
    await say(job, *(metrics(step=step, train__loss=1.0) for step in range(5002)))
    async with socket(cast.owner, job.pk) as page:
        await page.send_to(json.dumps({"after": 0}))
        leap = json.loads((await frames(page, 5002))[-1])
        assert (leap["type"], leap["seq"]) == ("leap", 5002)


async def test_a_flood_of_lines_is_cut_for_pages(cast: SimpleNamespace, job: TrainingJob) -> None:
    async with socket(cast.owner, job.pk) as page:
        await page.send_to(json.dumps({"after": 0}))
        await frames(page, 0)
        await say(job, *(lines(*(f"line {batch} {n}" for n in range(1000))) for batch in range(10)))
        html = "".join(text for text in await frames(page, 10) if text.startswith("<"))
        assert "9700 more lines" in html and html.count('<li id="line-') == 300


@pytest.mark.parametrize("door", ["", "events/"])
async def test_refusals_accept_and_then_close(cast: SimpleNamespace, job: TrainingJob, door: str) -> None:
    async with socket(None, job.pk, door) as page:
        assert await closed_with(page) == 4401
    async with socket(cast.stranger, job.pk, door) as page:
        assert await closed_with(page) == 4404
    async with socket(cast.owner, 10**18, door) as page:
        assert await closed_with(page) == 4404
    async with socket(cast.owner, job.pk, door, origin="https://evil.example") as page:
        assert await closed_with(page) == 4403


async def test_an_unknown_address_is_refused_for_good(cast: SimpleNamespace, job: TrainingJob) -> None:
    async with socket(cast.owner, job.pk, "nonsense/") as page:
        assert await closed_with(page) == 4404


@pytest.mark.parametrize("end", ["session", "membership", "active"])
async def test_a_page_is_closed_when_the_right_to_it_ends(
    cast: SimpleNamespace, job: TrainingJob, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    monkeypatch.setattr(consumers, "CHECK_SECONDS", 0.2)
    async with socket(cast.teammate, job.pk) as page:
        await page.send_to(json.dumps({"after": 0}))
        await frames(page, 0)
        if end == "session":
            await sync_to_async(cast.teammate.set_password)("another long password")
            await cast.teammate.asave()
        elif end == "membership":
            await Membership.objects.filter(user=cast.teammate).adelete()
        else:
            await User.objects.filter(pk=cast.teammate.pk).aupdate(is_active=False)
        while (output := await page.receive_output(timeout=5))["type"] == "websocket.send":
            continue
        assert output["code"] == 4403


async def test_programs_get_one_message_per_change(cast: SimpleNamespace) -> None:
    job = await sync_to_async(job_make)(cast, JobState.RUNNING)
    await say(job, metrics(step=5, epoch=2, loss=float("nan")), lines("hello <b>"))
    await say(job, event(type="state", **{"from": "running", "to": "failed", "by": "trainer", "reason": "boom"}))
    async with socket(cast.owner, job.pk, "events/") as program:
        await program.send_to(json.dumps({"after": 0}))
        said = [json.loads((await program.receive_output(timeout=5))["text"]) for _ in range(3)]
    assert [(one["type"], one["seq"]) for one in said] == [("training_progress", 1), ("log", 2), ("training_error", 3)]
    assert said[0]["data"]["metrics"] == {"loss": "NaN"} and said[0]["data"]["epoch"] == 2
    assert said[1]["data"]["lines"][0]["message"] == "hello <b>"
    assert all(one["job_id"] == job.pk and one["time"] for one in said)


async def test_a_program_that_says_nothing_gets_what_comes(
    cast: SimpleNamespace, job: TrainingJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumers, "HELLO_SECONDS", 0.1)
    await say(job, metrics(step=1, loss=1.0))
    async with socket(cast.owner, job.pk, "events/") as program:
        while await program.receive_nothing(timeout=0.3):  # until it has been let in
            await say(job, metrics(step=2, loss=0.5))
        assert json.loads((await program.receive_output(timeout=5))["text"])["seq"] >= 2


async def test_what_is_sent_is_strict_json_and_escaped_html(cast: SimpleNamespace, job: TrainingJob) -> None:
    evil = "</script><img src=x onerror=alert(1)>"
    async with socket(cast.owner, job.pk) as page:
        await page.send_to(json.dumps({"after": 0}))
        await frames(page, 0)
        await say(job, named(evil, float("inf")), lines(evil))
        texts = await frames(page, 2)
    assert json.loads(texts[-1], parse_constant=pytest.fail)["blocks"][0]["values"] == [["Infinity"]]
    assert "<img" not in "".join(text for text in texts if text.startswith("<"))


@pytest.mark.parametrize(
    "nonsense", ["no", "[]", "{", '{"after": "1"}', '{"after": -1}', '{"after": true}', "[" * 5000]
)
async def test_nonsense_from_a_page_is_ignored(cast: SimpleNamespace, job: TrainingJob, nonsense: str) -> None:
    async with socket(cast.owner, job.pk) as page:
        await page.send_to(nonsense)
        await page.send_to(json.dumps({"after": 0}))
        assert await frames(page, 0)


async def test_a_page_that_does_not_answer_is_sent_no_more_than_it_takes(
    cast: SimpleNamespace, job: TrainingJob
) -> None:
    async with socket(cast.owner, job.pk) as slow, socket(cast.owner, job.pk) as quick:
        await slow.send_to(json.dumps({"after": 0, "acks": True}))
        await quick.send_to(json.dumps({"after": 0}))
        for step in range(1, 13):
            seq = await say(job, metrics(step=step, loss=1.0))
            await frames(quick, seq)
        sent: list[dict[str, Any]] = []
        while len([one for one in sent if one["seq"] > one["after"]]) < consumers.UNANSWERED:
            text = (await slow.receive_output(timeout=5))["text"]
            sent += [json.loads(text)] if text.startswith("{") else []
        assert await slow.receive_nothing(timeout=0.3)
        await slow.send_to(json.dumps({"after": sent[-1]["seq"]}))
        assert seqs_of(await frames(slow, 12)) == list(range(sent[-1]["seq"] + 1, 13))


async def test_a_queue_that_runs_over_is_dropped_and_marked() -> None:
    slow, quick = Subscriber(1), Subscriber(1)
    feed = Feed(1, {slow, quick})
    for seq in range(QUEUE + 1):
        feed.publish(SimpleNamespace(seq=seq))  # type: ignore[arg-type]
        await asyncio.sleep(0)
        assert (await quick.next()).seq == seq
    assert slow.behind and not quick.behind
    assert (await slow.next()).seq == QUEUE


async def test_a_program_watches_with_an_api_key_and_a_page_does_not(cast: SimpleNamespace, job: TrainingJob) -> None:
    _, ours = await sync_to_async(key_create)(cast.owner, cast.organization, "watcher", write=False)
    _, theirs = await sync_to_async(key_create)(cast.stranger, cast.theirs, "watcher", write=False)
    await say(job, metrics(step=1, loss=1.0))
    codes = []
    for door, token in (("events/", ours), ("events/", theirs), ("events/", ours + "x"), ("", ours)):
        headers = [(b"authorization", f"Bearer {token}".encode())]
        connection = WebsocketCommunicator(application, f"/ws/training/{job.pk}/{door}", headers)
        await connection.connect(timeout=5)
        await connection.send_to(json.dumps({"after": 0}))
        codes.append((await connection.receive_output(timeout=5)).get("code", 0))
        await connection.disconnect()
    assert codes == [0, 4404, 4401, 4401]


async def test_a_revoked_key_closes_its_socket(
    cast: SimpleNamespace, job: TrainingJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumers, "CHECK_SECONDS", 0.1)
    await say(job, metrics(step=1, loss=1.0))
    key, token = await sync_to_async(key_create)(cast.owner, cast.organization, "watcher", write=False)
    headers = [(b"authorization", f"Bearer {token}".encode())]
    connection = WebsocketCommunicator(application, f"/ws/training/{job.pk}/events/", headers)
    await connection.connect(timeout=5)
    await connection.send_to(json.dumps({"after": 0}))
    assert json.loads((await connection.receive_output(timeout=5))["text"])["seq"] == 1  # let in, before the key goes
    await sync_to_async(key_revoke)(key)
    assert await closed_with(connection) == 4403
    await connection.disconnect()
