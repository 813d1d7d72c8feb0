"""What a new job is chosen from: whose it is to be, on which data, by which trainer."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from django.core.exceptions import PermissionDenied
from django.http import Http404

from training.datasets.selectors import dataset_list, datasets_offered
from training.models import Dataset, Organization, PretrainedWeights, User
from training.people.roles import Action, allowed, organizations_where, refusal
from training.trainers import Trainer, trainers_all
from training.weights import weights_fitting

Data = Mapping[str, str]
OFFERED = 100  # datasets in the list; the others are found by their words


@dataclass(frozen=True)
class JobChoice:
    """What the form offers to one person, and what of it is chosen now."""

    user: User
    organizations: list[Organization]
    organization: Organization
    words: str
    datasets: list[Dataset]
    dataset_count: int
    dataset: Dataset | None
    trainers: dict[str, Trainer]
    trainer: Trainer | None
    advanced: bool

    @property
    def searched(self) -> bool:
        """Whether there are more datasets than the list holds, so that one looks for them by words."""
        return bool(self.words) or self.dataset_count > len(self.datasets)

    @cached_property
    def pretrained(self) -> list[PretrainedWeights]:
        """The kept weights from which such a job may begin."""
        if self.trainer is None or self.dataset is None or not self.trainer.weights:
            return []
        return weights_fitting(self.organization, self.trainer.framework, self.dataset.task_type)

    @property
    def models(self) -> tuple[str, ...]:
        """The models that the trainer offers for the task of the data."""
        return self.trainer.models_offered(self.task) if self.trainer and self.task else ()

    @property
    def needs_data(self) -> bool:
        return self.trainer is None or self.trainer.dataset

    @property
    def data(self) -> Dataset | None:
        """The dataset to train on; None where the trainer trains on none."""
        return self.dataset if self.needs_data else None

    @property
    def task(self) -> str:
        """What is to be trained: the task of the data, or the trainer's first where it needs none."""
        if self.trainer and not self.trainer.dataset:
            return self.trainer.tasks[0]
        return self.dataset.task_type if self.dataset else ""

    @property
    def trainable(self) -> bool:
        """Whether the chosen trainer can do the task of the chosen data."""
        return bool(self.trainer and self.task in self.trainer.tasks)

    @classmethod
    def read(cls, user: User, data: Data) -> "JobChoice":
        """The choice in a request, the first that there is where it says nothing.

        Raises Http404 for what the person can't see, and PermissionDenied
        where the role does not allow to create jobs.
        """
        named = _dataset_named(user, data.get("dataset", ""))
        organizations = organizations_where(user, Action.CREATE_JOB)
        organization = _organization(user, organizations, data.get("organization", ""), named)
        words = data.get("find", "")[:120].replace("\x00", "").strip()
        datasets, count = datasets_offered(user, organization.pk, words, OFFERED)
        fits = named is not None and named.organization_id == organization.pk
        dataset = named if fits else dataset_list(user, organization.pk).first()
        trainers = trainers_all()
        trainer = trainers.get(data.get("trainer", "")) or _trainer_for(dataset, trainers)
        advanced = allowed(user, Action.USE_ADVANCED_SETTINGS, organization)
        return cls(user, organizations, organization, words, datasets, count, dataset, trainers, trainer, advanced)


def _dataset_named(user: User, number: str) -> Dataset | None:
    if not number:
        return None
    found: Dataset | None = dataset_list(user).filter(pk=_number(number)).first()
    if found is None:
        raise Http404("No such dataset.")
    return found


def _organization(user: User, organizations: list[Organization], number: str, dataset: Dataset | None) -> Organization:
    """The one that was named, or else that of the data, or else the first."""
    wanted = _number(number) if number else dataset.organization_id if dataset else None
    if wanted is not None and not user.memberships.filter(organization=wanted).exists():
        raise Http404("No such organization.")
    found = next((one for one in organizations if wanted in (None, one.pk)), None)
    if found is None:
        raise PermissionDenied(refusal(Action.CREATE_JOB))
    return found


def _trainer_for(dataset: Dataset | None, trainers: dict[str, Trainer]) -> Trainer | None:
    """The trainer to begin with: one that can train on these data, and rather one that starts from weights."""
    able = [one for one in trainers.values() if dataset is None or dataset.task_type in one.tasks]
    return next((one for one in able if one.weights), next(iter(able or trainers.values()), None))


def _number(text: str) -> int:
    """The id that a request names; Http404 for what can be none."""
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise Http404("No such thing.")
    return int(text)
