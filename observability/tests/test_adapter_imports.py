"""Adapters are read by the web process: no SDK is loaded by that, nor need one be installed."""

import subprocess
import sys

import pytest

from observability.adapters.clearml import ClearMl
from observability.adapters.loki import Loki
from observability.adapters.mlflow import Mlflow
from observability.adapters.tensorboard import TensorBoard
from observability.adapters.wandb import WeightsAndBiases
from observability.base import Adapter, AdapterError

HEAVY = ("mlflow", "tensorboard", "wandb", "clearml", "torch", "tensorflow")
LOOK = f"""
import sys
from observability.discovery import find
found = find([])
assert not [one.error for one in found.values() if one.error], found
print(*sorted(found), *(name for name in {HEAVY} if name in sys.modules))
"""


def test_finding_the_adapters_loads_no_sdk() -> None:
    done = subprocess.run([sys.executable, "-c", LOOK], capture_output=True, text=True, timeout=60)
    assert set(done.stdout.split()) >= {"clearml", "loki", "mlflow", "tensorboard", "wandb"}, done.stderr
    assert len(done.stdout.split()) == len(set(done.stdout.split())), "an SDK was loaded"


@pytest.mark.parametrize("adapter", [ClearMl, Mlflow, TensorBoard, WeightsAndBiases])
def test_an_sdk_that_is_not_installed_is_a_permanent_error(
    adapter: type[Adapter], monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    package = {"clearml": "clearml.backend_api.session.client", "tensorboard": "tensorboard.compat.proto"}
    for name in (adapter.name, package.get(adapter.name, adapter.name)):
        monkeypatch.setitem(sys.modules, name, None)
    config = {variable.name: str(tmp_path) for variable in adapter.variables if variable.required}
    for variable in adapter.variables:
        monkeypatch.setenv(variable.name, "")  # put back at the end
    mode = {"WANDB_MODE": "online"} if adapter is WeightsAndBiases else {}
    with pytest.raises(AdapterError) as raised:
        adapter().initialize(config | mode)
    assert raised.value.permanent


@pytest.mark.parametrize("adapter", [ClearMl, Loki, Mlflow, TensorBoard, WeightsAndBiases])
def test_what_holds_a_secret_says_so(adapter: type[Adapter]) -> None:
    for variable in adapter.variables:
        assert variable.secret == any(word in variable.name for word in ("KEY", "SECRET", "TOKEN", "PASSWORD"))
        assert variable.help
