"""An error is told with the type that its reader can act on."""

from __future__ import annotations

import errno

import pytest

from trainers.sdk.errors import DatasetError, NetworkError, SettingError, StorageError
from trainers.sdk.failures import error_type_of


@pytest.mark.parametrize(
    ("error", "error_type"),
    [
        (RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"), "RESOURCE_ERROR"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "RESOURCE_ERROR"),
        (MemoryError(), "RESOURCE_ERROR"),
        (OSError(errno.ENOSPC, "No space left on device"), "RESOURCE_ERROR"),
        (RuntimeError("Dataset 'data.yaml' error: images not found"), "DATASET_ERROR"),
        (DatasetError("the dataset has changed"), "DATASET_ERROR"),
        (SettingError("epochs must be a whole number"), "CONFIG_ERROR"),
        (StorageError("refused"), "STORAGE_ERROR"),
        (NetworkError("no answer"), "NETWORK_ERROR"),
        (KeyError("names"), "UNKNOWN_ERROR"),
    ],
)
def test_the_type_of_an_error_is_told_from_its_class_and_message(error, error_type):
    assert error_type_of(error) == error_type


def test_the_cause_of_an_error_counts():
    error = RuntimeError("training failed")
    error.__cause__ = OSError(errno.ENOSPC, "full")
    assert error_type_of(error) == "RESOURCE_ERROR"


def test_an_error_raised_inside_a_framework_is_the_frameworks():
    scope = {"__name__": "torch.nn.modules"}
    exec("def fail():\n    raise ValueError('shapes differ')", scope)
    with pytest.raises(ValueError, match="shapes") as caught:
        scope["fail"]()
    assert error_type_of(caught.value) == "FRAMEWORK_ERROR"
