"""Which of the platform's error types an exception is, told from its class and message; imports no framework."""

from __future__ import annotations

import errno

from trainers.sdk.errors import TrainerError

_MARKS = (
    (
        "RESOURCE_ERROR",
        (
            "out of memory",
            "can't allocate memory",
            "cannot allocate memory",
            "no space left on device",
            "shared memory",
            "killed by signal: killed",
        ),
    ),
    ("DATASET_ERROR", ("dataset", "no labels found", "no images found", "no valid images", "images not found")),
    ("NETWORK_ERROR", ("connection refused", "connection reset", "timed out", "name or service not known")),
)
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.ENOMEM}


def error_type_of(error: BaseException) -> str:
    """The ErrorType of an exception, or of the first one in its chain of causes that has a clear one."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        if known := _own_type(cause):
            return known
        seen.add(id(cause))
        cause = cause.__cause__ or cause.__context__
    framework = ("torch", "ultralytics", "timm", "transformers")
    return (
        "FRAMEWORK_ERROR"
        if type(error).__module__.startswith(framework) or _raised_in(error, framework)
        else "UNKNOWN_ERROR"
    )


def _own_type(error: BaseException) -> str | None:
    if isinstance(error, TrainerError):
        return None if error.error_type == "UNKNOWN_ERROR" else error.error_type
    if isinstance(error, KeyboardInterrupt):
        return "CANCELLED"
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in _FULL):
        return "RESOURCE_ERROR"
    text = str(error).lower()
    return next((kind for kind, marks in _MARKS if any(mark in text for mark in marks)), None)


def _raised_in(error: BaseException, packages: tuple[str, ...]) -> bool:
    """Whether the frames of the traceback pass through one of these packages."""
    step = error.__traceback__
    while step is not None:
        if step.tb_frame.f_globals.get("__name__", "").split(".")[0] in packages:
            return True
        step = step.tb_next
    return False
