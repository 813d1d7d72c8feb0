"""Reads of inference jobs for people, and what a page draws of a result."""

from dataclasses import dataclass

from django.contrib.auth.models import AnonymousUser
from django.db.models.functions import Now

from training.jobs.clock import now_plus
from training.jobs.waiting import WORKER_SEEN_SECONDS
from training.models import InferenceJob, InferenceState, TrainingJob, User, Worker
from training.models.visibility import OrganizationQuerySet

THRESHOLD = 0.25


@dataclass(frozen=True, slots=True)
class Drawn:
    """One object in the picture's pixels, as the attributes of SVG want them."""

    number: int
    name: str
    score: float
    outline: str
    dots: list[tuple[str, str]]
    left: str
    top: str

    @property
    def under(self) -> bool:
        return self.score < THRESHOLD

    @property
    def colour(self) -> int:
        return self.number % 12


def inferences_visible(user: User | AnonymousUser, organization_id: int | None = None) -> OrganizationQuerySet:
    """The inference jobs that a person may see, newest first; of one organization only, if it is told."""
    rows: OrganizationQuerySet = InferenceJob.objects.visible_to(user, organization_id)
    return rows.select_related("job__experiment__project", "checkpoint", "created_by").order_by("-id")


def inferences_of(job: TrainingJob, most: int) -> list[InferenceJob]:
    """The newest of a job."""
    return list(job.inferences.select_related("checkpoint", "created_by")[:most])


def inference_unheard(inference: InferenceJob) -> bool:
    """Whether it waits for a worker that is not there: none that tries pictures was seen lately or holds a lease."""
    if inference.state != InferenceState.WAITING:
        return False
    lately = now_plus(-WORKER_SEEN_SECONDS)
    there = Worker.objects.filter(queues__regex=r"(^|,)inference(,|$)", seen_at__gte=lately).exists()
    return not there and not InferenceJob.objects.filter(state=InferenceState.WORKING, lease_until__gt=Now()).exists()


def inference_drawn(inference: InferenceJob) -> list[Drawn]:
    """The objects of a result, the surest last, so that it is drawn on top."""
    width, height = inference.width, inference.height
    drawn = []
    for one in reversed(inference.result.get("objects", [])):
        corners = [(x * width, y * height) for x, y in one["outline"]]
        dots = [(x * width, y * height) for x, y, score in one.get("points", []) if score >= 0.3]
        left, top = min((x for x, _ in corners), default=0.0), min((y for _, y in corners), default=0.0)
        drawn.append(
            Drawn(
                one["class"],
                one["name"],
                one["score"],
                " ".join(f"{x:.1f},{y:.1f}" for x, y in corners),
                [(f"{x:.1f}", f"{y:.1f}") for x, y in dots],
                f"{max(0.0, left):.1f}",
                f"{max(height / 30, top - height / 120):.1f}",
            )
        )
    return drawn
