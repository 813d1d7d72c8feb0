"""Failures told apart: what ran out is named from what frameworks and systems really write."""

import pytest

from training.jobs.failures import WORDS, Cause, Mending, failure_named, mending_of
from training.models import ErrorType, JobState
from training.tests.conftest import job_make

UNKNOWN = ErrorType.UNKNOWN_ERROR


@pytest.mark.parametrize(
    ("message", "cause"),
    [
        ("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 23.69 GiB", Cause.GPU_MEMORY),
        ("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported", Cause.GPU_MEMORY),
        ("cuDNN error: CUDNN_STATUS_ALLOC_FAILED", Cause.GPU_MEMORY),
        ("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`", Cause.GPU_MEMORY),
        ("The trainer ended with exit code 1.\n\n  …\ntorch.OutOfMemoryError: CUDA out of memory.", Cause.GPU_MEMORY),
        ("DataLoader worker (pid 77) is killed by signal: Killed.", Cause.HOST_MEMORY),
        ("[Errno 12] Cannot allocate memory", Cause.HOST_MEMORY),
        ("MemoryError", Cause.HOST_MEMORY),
        ("std::bad_alloc", Cause.HOST_MEMORY),
        ("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8589934592 bytes", Cause.HOST_MEMORY),
        ("DataLoader worker (pid 7) is killed by signal: Bus error.", Cause.SHARED_MEMORY),
        ("unable to open shared memory object </torch_1> in read-write mode", Cause.SHARED_MEMORY),
        ("[Errno 28] No space left on device: '/scratch/last.pt'", Cause.DISK_FULL),
        ("[Errno 27] File too large", Cause.DISK_FULL),
        ("[Errno 122] Disk quota exceeded", Cause.DISK_FULL),
        ("The platform's disk is full.", Cause.DISK_FULL),
    ],
)
def test_what_ran_out_is_named(message: str, cause: Cause) -> None:
    assert failure_named(UNKNOWN, message) == (ErrorType.RESOURCE_ERROR, cause)


@pytest.mark.parametrize("message", ["shape mismatch", "KeyError: 'memory'", "", "a signal of 9 Hz\n\nfunny"])
def test_other_messages_stay_what_they_are(message: str) -> None:
    assert failure_named(UNKNOWN, message) == (UNKNOWN, "")


@pytest.mark.parametrize("kind", [ErrorType.DATASET_ERROR, ErrorType.CONFIG_ERROR, ErrorType.NETWORK_ERROR])
def test_a_clear_error_type_is_believed(kind: ErrorType) -> None:
    assert failure_named(kind, "images/out of memory.png: the file is missing") == (kind, "")


def test_every_cause_has_words() -> None:
    assert set(WORDS) == set(Cause) and all(said.title and said.advice for said in WORDS.values())


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("cause", "config", "mending"),
    [
        (Cause.GPU_MEMORY, {"batch_size": 16}, Mending("Retry with batch 8", {"batch_size": 8})),
        (Cause.MEMORY_LIMIT, {"batch_size": 3}, Mending("Retry with batch 1", {"batch_size": 1})),
        (Cause.GPU_MEMORY, {"batch_size": 1}, None),
        (Cause.GPU_MEMORY, {}, None),
        (Cause.DISK_FULL, {"batch_size": 16}, None),
    ],
)
def test_half_the_batch_is_offered_where_it_may_help(cast, cause, config, mending) -> None:
    assert mending_of(job_make(cast, JobState.FAILED, error_code=cause, config=config)) == mending
