"""Reads of datasets for people: only what their organizations own."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.db.models import Count, OuterRef, Q, Subquery, Sum
from django.db.models.fields.json import KT
from django.db.models.functions import Coalesce

from training.models import Dataset, DatasetSnapshot, TrainingJob, User
from training.models.visibility import OrganizationQuerySet


@dataclass(frozen=True, slots=True)
class ClassCount:
    """How many objects of a class a dataset has, by split and in all."""

    number: int
    name: str
    counts: list[int]
    total: int


def dataset_list(user: User | AnonymousUser, organization_id: int | None = None) -> OrganizationQuerySet:
    """The datasets that `user` may see, newest first; of one organization only, if it is told."""
    datasets: OrganizationQuerySet = Dataset.objects.visible_to(user, organization_id)
    return datasets.select_related("organization", "created_by").order_by("-created_at", "-id")


def dataset_search(user: User | AnonymousUser, words: str) -> OrganizationQuerySet:
    """The datasets that a person may see, all of whose `words` stand in the name, the description or the task.

    Of their reports, which may be large, only the counts are read.
    """
    jobs = TrainingJob.objects.filter(dataset=OuterRef("pk")).order_by().values("dataset")
    counted = jobs.annotate(count=Count("pk")).values("count")  # a join would group by whole reports
    facts = {"image_count": KT("report__images"), "instance_count": KT("report__instances")}
    rows = dataset_list(user).defer("report", "split").filter(_with_words(words))
    return rows.annotate(job_count=Coalesce(Subquery(counted), 0), **facts)


def datasets_offered(
    user: User | AnonymousUser, organization_id: int, words: str = "", limit: int = 100
) -> tuple[list[Dataset], int]:
    """The newest datasets with these words, for a list to choose from, and how many there are of them.

    Their reports, which may be large, are not read: the count of images comes as `image_count`.
    """
    rows = dataset_list(user, organization_id).filter(_with_words(words))
    read = rows.select_related(None).defer("report", "split", "description").annotate(image_count=KT("report__images"))
    found = list(read[:limit])
    return found, rows.count() if len(found) == limit else len(found)


def _with_words(words: str) -> Q:
    found = Q()
    for word in words.split()[:10]:
        found &= Q(name__icontains=word) | Q(description__icontains=word) | Q(task_type__icontains=word)
    return found


def dataset_sizes(user: User | AnonymousUser) -> dict[str, int]:
    """How many datasets a person may see, and the bytes of all their files."""
    return dataset_list(user).order_by().aggregate(count=Count("pk"), bytes=Coalesce(Sum("total_bytes"), 0))


def dataset_get(user: User | AnonymousUser, dataset_id: int) -> Dataset:
    """One of them; Dataset.DoesNotExist whether it is missing or another organization's."""
    dataset: Dataset = dataset_list(user).get(pk=dataset_id)
    return dataset


def dataset_jobs(dataset: Dataset, limit: int) -> list[TrainingJob]:
    """The newest jobs that were trained on a dataset."""
    jobs = dataset.jobs.filter(deleted_at=None, archived_at=None).select_related("experiment__project", "created_by")
    return list(jobs.order_by("-created_at", "-id")[:limit])


def class_counts(report: Mapping[str, Any]) -> list[ClassCount]:
    """The objects of each class, from an import's report, in the order of its splits."""
    splits = list(report.get("splits", {}))
    found = []
    for number, one in enumerate(report.get("classes", [])):
        counts = [int(one["instances"].get(split, 0)) for split in splits]
        found.append(ClassCount(number, one["name"], counts, sum(counts)))
    return found


def snapshot_get(user: User | AnonymousUser, snapshot_id: int) -> DatasetSnapshot:
    """A snapshot of a dataset that `user` may see; DatasetSnapshot.DoesNotExist otherwise."""
    snapshot: DatasetSnapshot = DatasetSnapshot.objects.visible_to(user).select_related("dataset").get(pk=snapshot_id)
    return snapshot
