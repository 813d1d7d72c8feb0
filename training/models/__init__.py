"""The nouns of the platform, one file each."""

from training.models.alert import Alert, AlertMessage, AlertRule, AlertTarget
from training.models.artifact import Artifact
from training.models.audit import AppendOnly, AuditEntry
from training.models.call import CallWindow, KeptAnswer
from training.models.chart_layout import ChartLayout
from training.models.checkpoint import Checkpoint
from training.models.dataset import Dataset, DatasetSnapshot
from training.models.dataset_import import ON_ITS_WAY, DatasetImport, ImportState, StoredRemoval
from training.models.disk import DiskUse
from training.models.imported import ImportedRun
from training.models.inference import InferenceJob, InferenceState
from training.models.invitation import Invitation
from training.models.job import ErrorType, JobAttempt, JobState, Priority, TrainingJob
from training.models.job_notes import JobNotes
from training.models.journal import (
    FollowerCursor,
    JournalRecord,
    LogLevel,
    MetricNames,
    MetricSummary,
    RecordKind,
    TrainingLog,
)
from training.models.key import ApiKey
from training.models.limit import TryCount
from training.models.people import Membership, Organization, Role, User
from training.models.preset import JobPreset
from training.models.project import Experiment, ExperimentTag, Project, ProjectMembership
from training.models.rollup import MetricSeries, RollUp
from training.models.star import Star
from training.models.tag import JobTag
from training.models.upload import DatasetUpload, DatasetUploadPart
from training.models.watch import JobWatch
from training.models.weights import PretrainedWeights
from training.models.worker import Slot, Worker

__all__ = [
    "ON_ITS_WAY",
    "Alert",
    "AlertMessage",
    "AlertRule",
    "AlertTarget",
    "ApiKey",
    "AppendOnly",
    "Artifact",
    "AuditEntry",
    "CallWindow",
    "ChartLayout",
    "Checkpoint",
    "Dataset",
    "DatasetImport",
    "DatasetSnapshot",
    "DatasetUpload",
    "DatasetUploadPart",
    "DiskUse",
    "ErrorType",
    "Experiment",
    "ExperimentTag",
    "FollowerCursor",
    "ImportState",
    "ImportedRun",
    "InferenceJob",
    "InferenceState",
    "Invitation",
    "JobAttempt",
    "JobNotes",
    "JobPreset",
    "JobState",
    "JobTag",
    "JobWatch",
    "JournalRecord",
    "KeptAnswer",
    "LogLevel",
    "Membership",
    "MetricNames",
    "MetricSeries",
    "MetricSummary",
    "Organization",
    "PretrainedWeights",
    "Priority",
    "Project",
    "ProjectMembership",
    "RecordKind",
    "Role",
    "RollUp",
    "Slot",
    "Star",
    "StoredRemoval",
    "TrainingJob",
    "TrainingLog",
    "TryCount",
    "User",
    "Worker",
]
