"""Korean and English: what Python says to people is in their language, what is stored and what programs read is not."""

import ast
import csv
import io
import re
import tomllib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.conf import settings
from django.core.exceptions import PermissionDenied, ValidationError
from django.template.loader import render_to_string
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext, override

from observability.models import DeliveryState
from observability.selectors import ledger_rows
from training.alerts.conditions import condition_said
from training.alerts.services import rule_create, target_create
from training.datasets.scan import Problems
from training.execution.endings import Evidence, Exit, ending_of
from training.jobs.cancelling import cancel_steps
from training.jobs.compare import compare_csv, jobs_compare
from training.jobs.failures import WORDS
from training.jobs.lost import attempt_give_up
from training.jobs.news import Parts, news_context
from training.jobs.services import job_cancel, job_prioritize, job_restart
from training.jobs.waiting import job_waiting
from training.jobs.watching import nan_place
from training.models import (
    AuditEntry,
    ErrorType,
    ImportState,
    InferenceState,
    JobAttempt,
    JobState,
    JobWatch,
    Priority,
    Role,
    TrainingJob,
)
from training.pages.alerts import RuleForm
from training.people.roles import Action, require
from training.said import LONGEST, _forms, said
from training.said import PLACE as GAP
from training.stored import SENTENCES, runs, trainers
from training.templatetags.events import by_whom, event_title
from training.templatetags.pages import ago, cause_title, event_line, state_pill
from training.templatetags.times import ago_words, duration
from training.tests.conftest import job_make
from training.tests.rest_program import JOBS, Program
from training.trainers import trainer_get

pytestmark = [pytest.mark.django_db, pytest.mark.once]
HANGUL = re.compile("[가-힣]")
PLACE = re.compile(r"%\(\w+\)s")


@pytest.fixture
def korean() -> Iterator[None]:
    with override("ko"):
        yield


@pytest.mark.parametrize("labels", [JobState, ImportState, InferenceState, Role, ErrorType, Priority, DeliveryState])
def test_every_label_has_korean_words(korean: None, labels: Any) -> None:
    assert all(HANGUL.search(str(one.label)) for one in labels)


def test_a_state_is_shown_in_the_language_of_the_page() -> None:
    assert "Running" in state_pill("running")
    with override("ko"):
        assert "실행 중" in state_pill("running") and "Running" not in state_pill("running")


def test_causes_of_failures_and_what_mends_them(korean: None) -> None:
    for code, words in WORDS.items():
        assert HANGUL.search(cause_title(code)) and HANGUL.search(gettext(words.advice))


def test_why_a_job_waits_is_read_once_and_told_in_each_language(cast: SimpleNamespace) -> None:
    context = news_context(job_make(cast).pk, Parts.all())
    assert context["waiting"].reason == "No worker is running."
    with override("ko"):
        assert context["waiting"].reason == "실행 중인 워커가 없습니다."
        assert "실행 중인 워커가 없습니다." in render_to_string("training/_news.html", context | {"pushed": True})


def test_the_steps_of_a_cancel_are_read_once_and_told_in_each_language(
    attempt: JobAttempt, cast: SimpleNamespace
) -> None:
    job_cancel(attempt.job, cast.owner)
    attempt.refresh_from_db()
    steps = cancel_steps(TrainingJob.objects.get(pk=attempt.job_id), attempt)
    assert [str(one.title) for one in steps][0] == "Asked for"
    with override("ko"):
        assert [str(one.title) for one in steps] == [
            "요청됨",
            "트레이너가 확인함",
            "마지막 체크포인트 저장됨",
            "중단됨",
        ]
        assert steps[1].note == "시작하지 않은 상태였음"


@pytest.mark.parametrize(
    ("seconds", "length", "past"),
    [
        (30, "30초", "방금"),
        (185, "3분 05초", "3분 전"),
        (8040, "2시간 14분", "2시간 전"),
        (273_600, "3일 4시간", "3일 전"),
    ],
)
def test_times(korean: None, seconds: int, length: str, past: str) -> None:
    assert duration(seconds) == length and ago_words(seconds) == past


def test_a_time_keeps_its_figures_for_scripts(korean: None) -> None:
    shown = ago(timezone.now() - timedelta(minutes=5))
    assert "5분 전" in shown and re.search(r'data-ago="\d+"', shown) and re.search(r'datetime="\d{4}-\d\d-\d\dT', shown)


def test_forms_speak_korean_and_send_the_same_words(korean: None, cast: SimpleNamespace) -> None:
    rule = RuleForm(cast.experiment.project)
    assert str(rule.fields["metric"].label) == "지표"
    assert ("failed", "실패") in [(value, str(label)) for value, label in rule.fields["states"].choices]
    owner = Client(HTTP_ACCEPT_LANGUAGE="ko")
    owner.force_login(cast.owner)
    page = owner.get(reverse("job-new")).content.decode()
    for text in ("데이터셋", "배치 크기", "이미지를 이 픽셀 크기로", "우선순위와 제한", "비워 두면"):
        assert text in page, text
    assert 'value="ultralytics"' in page and 'name="set-batch_size"' in page


def test_what_our_trainers_say_is_known() -> None:
    """A text that a manifest shows has to stand in `training/stored/trainers.py`, and nothing else has to."""
    found = set()
    for path in Path(settings.TRAINERS_DIR).glob("*/trainer.toml"):
        manifest = tomllib.loads(path.read_text())
        for one in manifest.get("settings", []):
            found |= {one["label"], one.get("group", "Basic"), one.get("help", "")}
        for one in manifest.get("presets", []):
            found |= {one["name"], one.get("help", "")}
    assert found - {""} == set(trainers.SENTENCES)


def test_a_refusal_is_told_in_the_persons_language(korean: None, cast: SimpleNamespace) -> None:
    job = job_make(cast, JobState.COMPLETED)
    with pytest.raises(PermissionDenied, match="이 역할에는 권한이 없습니다: 작업 취소"):
        require(cast.stranger, Action.CANCEL_JOB, job)
    with pytest.raises(ValidationError, match="batch_size 1 이상이어야 합니다"):
        trainer_get("ultralytics").config_clean({"batch_size": 0})
    with pytest.raises(Exception, match="이미 완료되어 취소할 것이 없습니다"):
        job_cancel(job, cast.owner)


def test_a_page_in_korean(korean: None, cast: SimpleNamespace) -> None:
    job = job_make(cast, JobState.FAILED, error_type="RESOURCE_ERROR", error_code="gpu_memory", error_message="CUDA: 9")
    owner = Client(HTTP_ACCEPT_LANGUAGE="ko")
    owner.force_login(cast.owner)
    page = owner.get(reverse("job-page", args=[job.pk])).content.decode()
    assert "GPU 메모리 부족" in page and "실패" in page and "CUDA: 9" in page
    answer = owner.post(reverse("job-cancel", args=[job.pk]), follow=True).content.decode()
    assert "이 작업은 이미 실패하여 취소할 것이 없습니다." in answer


def test_the_ledgers_words(korean: None, cast: SimpleNamespace) -> None:
    assert [row.label for row in ledger_rows(job_make(cast))][0] == "데이터베이스"


def test_rest_answers_in_english(cast: SimpleNamespace, program: Program) -> None:
    job = job_make(cast, JobState.COMPLETED)
    owner = Client(HTTP_ACCEPT_LANGUAGE="ko")
    owner.force_login(cast.owner)
    said_by_rest = owner.post(f"{JOBS}/{job.pk}/cancel").content.decode()
    assert "there is nothing to cancel" in said_by_rest and not HANGUL.search(said_by_rest)


def test_what_is_stored_stays_english(korean: None, cast: SimpleNamespace, attempt: JobAttempt) -> None:
    job = attempt.job
    job_prioritize(job, cast.owner, Priority.HIGH)
    attempt_give_up(attempt, "worker", "its worker restarted")
    job_cancel(job, cast.owner)
    job_restart(job, cast.owner)
    target = target_create(job.experiment.project, cast.owner, "team", "email", "team@example.com")
    project = job.experiment.project
    rule_create(project, cast.owner, "failures", "state", {"states": ["failed"]}, [target.pk])
    told = [str(record) for record in news_context(job.pk, Parts.all())["events"]]
    told += [f"{entry.old} {entry.new}" for entry in AuditEntry.objects.all()]
    job.refresh_from_db()
    assert len(told) > 6 and not any(HANGUL.search(one) for one in [*told, job.state_reason, job.name])
    assert "a job becomes failed" in " ".join(told)


def test_files_are_the_same_in_every_language(cast: SimpleNamespace) -> None:
    jobs = [job_make(cast, JobState.COMPLETED), job_make(cast, JobState.FAILED)]
    english = "".join(compare_csv(jobs_compare(jobs)))
    with override("ko"):
        assert "".join(compare_csv(jobs_compare(jobs))) == english
    assert "Completed" in next(csv.reader(io.StringIO(english.split("\n")[1])))


def test_events_are_told_in_korean(korean: None) -> None:
    event = SimpleNamespace(
        data={
            "type": "state",
            "to": "queued",
            "by": "worker",
            "reason": "attempt 2 was lost; it resumes after epoch 5",
        },
        time=0.0,
        seq=1,
    )
    told = event_line(event)
    assert str(told["title"]) == "대기 중" and told["by"] == "워커"
    assert told["text"] == "시도 2의 연결이 끊어졌습니다. 에폭 5 이후부터 이어서 학습합니다"
    assert by_whom({"by": "worker", "who": "worker"}) == "worker"  # a machine that is called so keeps its name
    assert event_title({"type": "checkpoint", "kind": "best", "epoch": 3}) == "에폭 3의 best 체크포인트"
    assert event_title({"type": "nan", "title": "train/loss became NaN"}) == "train/loss 지표가 NaN이(가) 되었습니다"
    assert event_title({"type": "theirs", "title": "Evaluation began"}) == "Evaluation began"


def test_stored_sentences_are_told_part_by_part(korean: None) -> None:
    problems = Problems()
    problems.add("labels/7.txt", "5.2 is not a number", line=3)
    problems.add("images/a.jpg", "this is not an image")
    assert said(problems.sentences[0]) == "labels/7.txt 3행: 5.2: 숫자가 아닙니다"
    assert said(problems.sentences[1]) == "images/a.jpg: 이미지가 아닙니다"
    message = f"digits: none of the 2 images can be used. Problems: {'; '.join(problems.sentences)}."
    assert said(message).startswith("digits: 이미지 2개 중 사용할 수 있는 것이 없습니다. 문제: labels/7.txt 3행")
    assert said(message).endswith("images/a.jpg: 이미지가 아닙니다.")
    ended = ending_of(Exit(1, None), ["Checking", "KeyError: 'x'"], Evidence(0, 0.0, 0.0)).message
    assert said(ended).startswith("트레이너가 종료 코드 1(으)로 끝났습니다.\n") and said(ended).endswith(
        "KeyError: 'x'"
    )
    assert "\nChecking\n" in said(ended)  # a trainer's own words stay
    listed = "The data have changed since the job was created:\nimages/1.png: the file is missing.\n… and 3 more"
    assert said(listed).split("\n")[1:] == ["images/1.png: 파일이 없습니다.", "… 외 3건"]
    for watch in (JobWatch(nan_epoch=2, nan_step=7), JobWatch(nan_step=7, nan_attempt=3), JobWatch()):
        assert HANGUL.search(said(nan_place(watch)))
    above = {"metric": "loss", "side": "above", "threshold": 2, "reports": 3}
    with override("en"):
        text = f"loss is 3 at epoch 4: {condition_said('metric', above)}."
    assert said(text) == f"에폭 4에서 loss = 3: {condition_said('metric', above)}."
    assert said("Something that nobody listed; at all") == "Something that nobody listed; at all"


def test_english_readers_get_what_is_stored() -> None:
    assert all(said(one) is one for one in SENTENCES)


def test_stored_sentences_are_those_that_the_house_makes() -> None:
    """Each form stands somewhere in the sources, as a string or an f-string; and each has Korean words."""
    made: set[str] = set()
    for path in (
        *Path(settings.BASE_DIR, "training").rglob("*.py"),
        *Path(settings.BASE_DIR, "observability").rglob("*.py"),
    ):
        if not {"tests", "stored"} & set(path.parts):
            for node in ast.walk(ast.parse(path.read_text())):
                made |= {line.strip() for line in _form(node).split("\n")}
    sought = {PLACE.sub("{}", one): one for one in SENTENCES if one not in runs.COMPOSED}
    assert not {one for form, one in sought.items() if form not in made}
    with override("ko"):
        unchanged = {one for one in (*SENTENCES, *trainers.SENTENCES) if gettext(one) == one}
    assert {one for one in unchanged if re.search("[a-z]{2}", PLACE.sub("", one))} <= {"MixUp"}


def _form(node: ast.AST) -> str:
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
    return PLACE.sub("{}", node.value) if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def test_waiting_over_the_api_and_on_the_terminal_is_plain_text(cast: SimpleNamespace) -> None:
    waiting = job_waiting(job_make(cast))
    assert waiting is not None and f"{waiting.reason}" == str(waiting.reason) == "No worker is running."


@pytest.mark.parametrize("form", [one for one in SENTENCES if len(GAP.findall(one)) > 1])
def test_no_words_of_a_trainer_make_the_search_long(form: str) -> None:
    """Each look at a line is counted: as many as there are forms, however often a line begins like one of them."""
    first, *between, _ = GAP.split(form)[0::2]
    line = (first + "a" + "a".join(between) * LONGEST)[: LONGEST - 1] + "\x01"
    looks = 0

    class Counted(str):
        def find(self, *wanted: Any) -> int:  # type: ignore[override]
            nonlocal looks
            looks += 1
            return super().find(*wanted)

    for one in _forms():
        one.parts(Counted(line))
    assert looks <= sum(len(one.between) for one in _forms())
