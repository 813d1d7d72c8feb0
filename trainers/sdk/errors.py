"""What the SDK raises: only where a trainer cannot go on without an answer, never from a report."""


class TrainerError(Exception):
    """The root of the SDK's errors; `error_type` is the platform's ErrorType for it."""

    error_type = "UNKNOWN_ERROR"


class SettingError(TrainerError):
    """A setting is missing, of the wrong type, or out of its range; the message names it."""

    error_type = "CONFIG_ERROR"


class DatasetError(TrainerError):
    """The dataset cannot be had, or is not what its manifest says."""

    error_type = "DATASET_ERROR"


class StorageError(TrainerError):
    """A file could not be uploaded or downloaded, or arrived damaged."""

    error_type = "STORAGE_ERROR"


class NetworkError(TrainerError):
    """The platform did not answer in the time allowed."""

    error_type = "NETWORK_ERROR"


class SpoolInUse(TrainerError):
    """Another process, or another SDK of this process, already writes this spool."""
