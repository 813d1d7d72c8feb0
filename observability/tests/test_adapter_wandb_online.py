"""W&B's adapter online: the real SDK, to a server of our own that keeps lines at their offsets as W&B's does."""

from collections.abc import Iterator

import pytest
import wandb as sdk

from observability.adapters.wandb import WeightsAndBiases
from observability.base import AdapterError, Ending
from observability.tests.adapter_cast import Config, job_facts, opened, reports
from observability.tests.backends import wandb


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Config]:
    with pytest.MonkeyPatch.context() as patch, wandb.online(tmp_path_factory.mktemp("wandb")) as variables:
        for name in variables:
            patch.setenv(name, "")  # the adapter sets them, for a process of its own: put them back at the end
        sdk.teardown()  # its service keeps the variables that it began with
        yield variables
        sdk.teardown()


def test_the_end_is_told(config: Config) -> None:
    adapter = opened(WeightsAndBiases, config)
    experiment = adapter.create_experiment(job_facts(1), {})
    adapter.log_metrics(experiment, reports(1), {})
    adapter.finalize(experiment, Ending("failed", {}, "out of memory"), {})
    run = wandb.servers[config["WANDB_BASE_URL"]].runs[experiment.rpartition("/")[2]]
    assert (run["exit_code"], run["displayName"], run["tags"]) == (1, "이름 'of' a (job)", ["first", "둘째"])
    link = adapter.get_experiment_url(experiment)
    assert link == f"{config['WANDB_BASE_URL']}/team/{experiment.replace('/', '/runs/')}"


def test_a_refused_key_is_permanent_and_not_shown_and_the_next_call_may_succeed(config: Config) -> None:
    adapter = opened(WeightsAndBiases, config)
    server = wandb.servers[config["WANDB_BASE_URL"]]
    experiment = adapter.create_experiment(job_facts(2), {})
    server.refuse = 401
    with pytest.raises(AdapterError) as raised:
        adapter.log_metrics(experiment, reports(2), {})
    assert raised.value.permanent and wandb.KEY not in str(raised.value)
    server.refuse = 0
    adapter.log_metrics(experiment, reports(2), {})
    assert len(server.rows(experiment.rpartition("/")[2])) == 2
