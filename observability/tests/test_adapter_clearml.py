"""ClearML's adapter, against a loopback server that checks each request against the SDK's schemas."""

from collections.abc import Iterator

import pytest

from observability.adapters.clearml import ClearMl
from observability.base import AdapterError, Ending, LogLine
from observability.names import group_split
from observability.tests.adapter_cast import TIME, Config, comparable, expected, job_facts, opened, reports, stored
from observability.tests.backends import clearml
from observability.tests.backends.processes import free_port

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # clearml's own copy of pyhocon


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Config]:
    with clearml.backend(tmp_path_factory.mktemp("clearml")) as variables:
        yield variables


@pytest.fixture
def server(config: Config) -> Iterator[clearml.Server]:
    one = clearml.servers[config["CLEARML_API_HOST"]]
    yield one
    one.refuse, one.loses = 0, set()


def lines(count: int, first: int = 1) -> list[LogLine]:
    levels = ("debug", "info", "WARNING", "error", "trace")
    return [LogLine(n, TIME + n, levels[n % 5], "trainer", f"줄 {n} <b>") for n in range(first, first + count)]


def test_the_task_tells_of_the_job(config: Config, server: clearml.Server) -> None:
    adapter, state = opened(ClearMl, {**config, "CLEARML_WEB_HOST": "http://127.0.0.1:8080/"}), {}
    task_id = adapter.create_experiment(job_facts(1), state)
    adapter.log_parameters(task_id, {"lr": 0.1, "이름": "값"}, state)
    adapter.log_artifact(task_id, "best (1)", "http://127.0.0.1/best.pt", {"epoch": 3}, state)
    adapter.log_artifact(task_id, "best (1)", "http://127.0.0.1/better.pt", {"epoch": 4}, state)
    task = server.tasks[task_id]
    assert (task["name"], task["type"], task["status"]) == ("이름 'of' a (job)", "training", "in_progress")
    assert server.projects[task["project"]]["name"] == "An%2FOrganization/%2E."
    assert task["tags"] == [f"platform-job-1-{TIME + 0.123456:.3f}", "first", "둘째"]
    assert task["comment"] == "http://127.0.0.1:8000/jobs/1/"
    assert task["hyperparams"] == {"lr": "0.1", "이름": "값"}
    assert list(task["models"]) == ["best (1)"] and [one["task"] for one in server.models.values()].count(task_id) == 1
    assert task["models"]["best (1)"]["uri"] == "http://127.0.0.1/better.pt"
    assert adapter.get_experiment_url(task_id) == f"http://127.0.0.1:8080/projects/*/experiments/{task_id}"


@pytest.mark.parametrize(
    ("status", "shown"), [("completed", "completed"), ("failed", "failed"), ("cancelled", "stopped")]
)
def test_the_end_is_shown_and_a_new_attempt_runs_again(
    config: Config, server: clearml.Server, status: str, shown: str
) -> None:
    adapter, state = opened(ClearMl, config), {}
    task = adapter.create_experiment(job_facts(10 + len(status)), state)
    adapter.finalize(task, Ending(status, {}, "the reason", TIME), state)
    assert server.tasks[task]["status_reason"] == "ended at 2025-10-09T08:53:20Z"
    assert (server.tasks[task]["status"], server.tasks[task]["status_message"]) == (shown, "the reason")
    adapter.log_metrics(task, reports(1), state)
    assert server.tasks[task]["status"] == "in_progress" and state == {}


def test_a_task_that_was_made_but_not_started_before_a_crash_is_started(config: Config, server: clearml.Server) -> None:
    server.loses = {"tasks.create"}
    with pytest.raises(AdapterError):
        opened(ClearMl, config).create_experiment(job_facts(33), {})
    task = opened(ClearMl, config).create_experiment(job_facts(33), {})
    assert server.tasks[task]["status"] == "in_progress"
    assert [one["tags"][0].split("-")[2] for one in server.tasks.values()].count("33") == 1


def test_log_lines_arrive_in_order_and_once(config: Config, server: clearml.Server) -> None:
    """The server gives each line a number of its own, so it is asked how many it has."""
    adapter, state = opened(ClearMl, config), {}
    task = adapter.create_experiment(job_facts(30), state)
    adapter.log_lines(task, lines(3), state)
    before = stored(state)
    adapter.log_lines(task, lines(2, 4), state)
    opened(ClearMl, config).log_lines(task, lines(4, 4), before)
    found = [line for line in server.lines if line["task"] == task]
    assert [line["msg"] for line in found] == [line.message for line in lines(7)]
    assert [line["level"] for line in found[:4]] == ["info", "warning", "error", "notset"]
    assert found[0]["timestamp"] == round((TIME + 1) * 1000) and found[0]["worker"] == "trainer"


def test_an_answer_that_was_lost_is_temporary_and_doubles_nothing(config: Config, server: clearml.Server) -> None:
    adapter, state = opened(ClearMl, config), {}
    task = adapter.create_experiment(job_facts(31), state)
    for call, sent in ((adapter.log_metrics, reports(5)), (adapter.log_lines, lines(2))):
        server.loses = {"events.add_batch"}
        with pytest.raises(AdapterError) as raised:
            call(task, sent, state)
        assert not raised.value.permanent
        call(task, sent, state)
    assert comparable(clearml.read(task, config)) == {
        "/".join(group_split(name)): points for name, points in comparable(expected(reports(5), ClearMl.losses)).items()
    }
    assert [line["msg"] for line in server.lines if line["task"] == task] == [line.message for line in lines(2)]


@pytest.mark.parametrize(("status", "permanent"), [(401, True), (403, True), (429, False), (500, False), (503, False)])
def test_refusals_tell_permanent_from_temporary(
    config: Config, server: clearml.Server, status: int, permanent: bool
) -> None:
    adapter = opened(ClearMl, config)
    task = adapter.create_experiment(job_facts(32), {})
    server.refuse = status
    with pytest.raises(AdapterError) as raised:
        adapter.log_metrics(task, reports(1), {})
    assert raised.value.permanent == permanent
    assert clearml.SECRET not in str(raised.value) and clearml.KEY not in str(raised.value)


@pytest.mark.parametrize(("status", "batch"), [(400, True), (413, True), (403, False), (503, False)])
def test_a_batch_that_is_refused_for_what_it_holds_is_told_from_other_refusals(
    config: Config, server: clearml.Server, status: int, batch: bool
) -> None:
    adapter = opened(ClearMl, config)
    task = adapter.create_experiment(job_facts(34), {})
    server.refuse = status
    with pytest.raises(AdapterError) as raised:
        adapter.log_metrics(task, reports(1), {})
    assert raised.value.batch == batch


def test_wrong_keys_and_an_unknown_task_are_permanent(config: Config) -> None:
    with pytest.raises(AdapterError, match="Invalid credentials") as raised:
        opened(ClearMl, {**config, "CLEARML_API_SECRET_KEY": "another-secret"}).check()
    assert raised.value.permanent and "another-secret" not in str(raised.value)
    with pytest.raises(AdapterError) as raised:
        opened(ClearMl, config).log_metrics("0" * 32, reports(1), {})
    assert raised.value.permanent


def test_a_server_that_is_away_is_temporary(config: Config) -> None:
    adapter = opened(ClearMl, {**config, "CLEARML_API_HOST": f"http://127.0.0.1:{free_port()}"})
    with pytest.raises(AdapterError) as raised:
        adapter.check()
    assert not raised.value.permanent
