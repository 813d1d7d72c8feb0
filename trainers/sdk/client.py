"""The SDK in one class: everything a trainer may say to the platform, or ask of it."""

from __future__ import annotations

from trainers.sdk.data import Data
from trainers.sdk.lifecycle import Lifecycle
from trainers.sdk.settings import Settings


class TrainerSDK(Lifecycle, Settings, Data):
    """One per trainer process. Reports and log lines never raise into training; see trainers/README.md."""
