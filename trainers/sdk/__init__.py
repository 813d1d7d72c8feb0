"""The thin SDK: the trainers' protocol for Python, from the standard library and httpx alone."""

from trainers.sdk.client import TrainerSDK
from trainers.sdk.errors import DatasetError, NetworkError, SettingError, SpoolInUse, StorageError, TrainerError
from trainers.sdk.version import VERSION

__all__ = [
    "VERSION",
    "DatasetError",
    "NetworkError",
    "SettingError",
    "SpoolInUse",
    "StorageError",
    "TrainerError",
    "TrainerSDK",
]
