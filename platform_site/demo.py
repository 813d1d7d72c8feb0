"""The demonstration: a user, a dataset of real handwritten digits, and a detector that learns it."""

import secrets
import tempfile
import threading
import time
from pathlib import Path

from django.core.management.base import CommandError, OutputWrapper
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from platform_site.management.commands.up import children_check, children_watch, web_wait
from platform_site.processes import Children
from training.datasets.demo import demo_dataset_write
from training.datasets.services import dataset_import
from training.jobs.progress import Progress as JobProgress
from training.jobs.selectors import job_latest, job_status
from training.jobs.services import job_create
from training.jobs.states import ENDED
from training.models import Dataset, Experiment, JobState, Membership, Organization, Project, Role, TrainingJob, User

PRIMARY = "metrics/mAP50(B)"
LEARNED = 0.9  # what 16 epochs reach with a margin, and an untrained detector never
EPOCHS = 16


class Demo:
    def __init__(self, children: Children, stopping: threading.Event, site_url: str, stdout: OutputWrapper) -> None:
        self._children = children
        self._stopping = stopping
        self._site_url = site_url
        self._console = Console()

    def run(self, epochs: int | None, leave: bool) -> None:
        """Train the demonstration's model. With `leave`, return after it; CommandError unless it learned."""
        user, password = user_prepare()
        job = job_prepare(user, epochs or EPOCHS)
        web_wait(self._site_url, self._children, self._stopping)
        address = f"{self._site_url}/jobs/{job.pk}/"
        self._console.print(f"\n  Watch it learn:  [bold]{address}[/]")
        self._console.print(f"  Sign in as       {user.username} / {password}\n", markup=False)
        self._watch(job)
        if self._stopping.is_set():
            return
        job.refresh_from_db()
        self._summary(job, address)
        if leave:
            learned_check(job)
            return
        self._console.print("\n  The platform keeps running; Ctrl-C ends it.")
        children_watch(self._children, self._stopping)

    def _watch(self, job: TrainingJob) -> None:
        if not self._console.is_terminal:
            self._watch_plainly(job)
            return
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[latest]}"))
        with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=self._console) as bar:
            task = bar.add_task("waiting", total=1.0, latest="")
            while not self._stopping.is_set() and job.state not in ENDED:
                children_check(self._children)
                self._show(bar, task, job)
                time.sleep(0.5)
                job.refresh_from_db()
            self._show(bar, task, job)

    def _watch_plainly(self, job: TrainingJob) -> None:
        """A line for each epoch and each change of state, for logs."""
        shown = ""
        while not self._stopping.is_set():
            children_check(self._children)
            line = " ".join(part for part in job_words(job) if part)
            if line != shown:
                self._console.print(line, markup=False, highlight=False)
                shown = line
            if job.state in ENDED:
                return
            time.sleep(0.5)
            job.refresh_from_db()

    def _show(self, bar: Progress, task: TaskID, job: TrainingJob) -> None:
        progress, _ = job_figures(job)
        description, latest = job_words(job)
        bar.update(task, completed=progress.fraction or 0.0, description=description, latest=latest)

    def _summary(self, job: TrainingJob, address: str) -> None:
        table = Table(title=f"{job.name}: {job.state}", title_justify="left")
        table.add_column("what")
        table.add_column("value", overflow="fold")
        if job.error_message:
            table.add_row("error", job.error_message)
        for name, value in job_figures(job)[1].items():
            if name.startswith("metrics/"):
                table.add_row(name, f"{value:.4f}")
        for checkpoint in job.checkpoints.order_by("kind"):
            table.add_row(f"{checkpoint.kind} checkpoint", f"{checkpoint.key} ({checkpoint.size / 1e6:.1f} MB)")
        table.add_row("page", address)
        self._console.print(table)


def user_prepare() -> tuple[User, str]:
    """The user `demo` with a new random password, in an organization of its own."""
    password = secrets.token_urlsafe(12)
    user, _ = User.objects.get_or_create(username="demo", defaults={"email": "demo@example.com"})
    user.set_password(password)
    user.save(update_fields=["password"])
    organization, _ = Organization.objects.get_or_create(slug="demo", defaults={"name": "Demo"})
    Membership.objects.get_or_create(user=user, organization=organization, defaults={"role": Role.ADMIN})
    return user, password


def job_prepare(user: User, epochs: int) -> TrainingJob:
    """The job that an interrupted demonstration left, or a new one."""
    left = TrainingJob.objects.filter(created_by=user).exclude(state__in=ENDED).order_by("-id").first()
    if left is not None:
        return left
    organization = Organization.objects.get(slug="demo")
    project, _ = Project.objects.get_or_create(organization=organization, name="Handwriting")
    experiment, _ = Experiment.objects.get_or_create(project=project, name="First run")
    settings = {"epochs": epochs, "batch_size": 16, "learning_rate": 0.003, "imgsz": 128, "device": "auto"}
    settings |= {"optimizer": "AdamW", "mosaic": 0.3, "fliplr": 0.0}  # a mirrored digit is none
    return job_create(
        user=user,
        experiment=experiment,
        trainer="ultralytics",
        model_name="yolo11n.yaml",
        dataset=dataset_prepare(organization, user),
        config=settings,
        name="YOLO11n on handwritten digits",
    )


def dataset_prepare(organization: Organization, user: User) -> Dataset:
    """The demonstration's dataset, imported once."""
    found = Dataset.objects.filter(organization=organization, name="Handwritten digits").first()
    if found is not None:
        return found
    with tempfile.TemporaryDirectory() as folder:
        demo_dataset_write(Path(folder))
        return dataset_import(organization, "Handwritten digits", Path(folder), user, anywhere=True)


def job_words(job: TrainingJob) -> tuple[str, str]:
    """The job's state and epoch, and its latest figures, for a line on a terminal."""
    progress, latest = job_figures(job)
    epoch = f" epoch {progress.epoch}/{progress.total_epochs}" if progress.epoch else ""
    shown = [f"{name.split('/')[-1]} {latest[name]:.3f}" for name in (PRIMARY, "train/box_loss") if name in latest]
    return f"{job.state}{epoch}", "  ".join(shown)


def job_figures(job: TrainingJob) -> tuple[JobProgress, dict[str, float]]:
    """How far the job is, and the latest value of each of its metrics."""
    status = job_status(job.pk)
    if status is None:
        raise CommandError("The job was deleted.")
    return status.progress, {metric.name: metric.value for metric in job_latest(status)[0]}


def learned_check(job: TrainingJob) -> None:
    """Raise CommandError unless the job completed and its detector detects."""
    reached = job_figures(job)[1].get(PRIMARY, 0.0)
    if job.state != JobState.COMPLETED:
        raise CommandError(f"The job {job.state}: {job.error_message or job.state_reason}")
    if not reached >= LEARNED:
        raise CommandError(f"The job completed, but {PRIMARY} is only {reached:.3f}.")
