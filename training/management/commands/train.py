"""Start a training job from the command line, and wait for it on wish."""

import json
from typing import Any

from django.conf import settings
from django.core.exceptions import PermissionDenied, ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.models import QuerySet

from training.jobs.described import weights_described
from training.jobs.document import PRIORITIES
from training.jobs.following import News, job_follow
from training.jobs.lines import LineFilter
from training.jobs.resume import WEIGHTS
from training.jobs.services import job_create, limits_check, priority_checked
from training.jobs.wakeups import flush
from training.jobs.watch_options import WatchOptions
from training.management.terminal import console, interrupted, json_line, line_text, on_terminal, user_named
from training.management.waiting import Waiting, waiting
from training.models import Dataset, JobState, Organization, PretrainedWeights, Priority, TrainingJob, User
from training.models.visibility import OrganizationQuerySet
from training.people.roles import Action, allowed, require
from training.projects.services import experiment_named
from training.trainers import trainer_get
from training.weights import weights_visible

CODES = {JobState.COMPLETED: 0, JobState.CANCELLED: 3}  # any other end: 1
DETACHED = "Job {} goes on; `manage.py logs {} --follow` follows it."


class Command(BaseCommand):
    help = (
        "Queue a training job. Its page's address is printed; a worker (`manage.py up` runs one) takes it from there. "
        "With --wait or --follow the command ends with the job: 0 if it completed, 3 if it was cancelled, else 1."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("dataset", nargs="?", default="", help="its name, or SLUG/NAME; none if none is needed")
        parser.add_argument("--organization", default="", metavar="SLUG", help="whose it is, if the user is in several")
        parser.add_argument("--user", required=True, help="who asks: a user name")
        parser.add_argument("--project", required=True, help="name of the project; managers make new ones")
        parser.add_argument("--experiment", default="Default", help="name of the experiment (default: Default)")
        parser.add_argument("--trainer", default="ultralytics", help="folder under trainers/ (default: ultralytics)")
        parser.add_argument("--model", default="yolo11n.yaml", help="model to train (default: yolo11n.yaml)")
        parser.add_argument("--pretrained", default="", metavar="NAME", help="kept weights to begin from, not a model")
        parser.add_argument("--name", default="", help="name of the job")
        parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting; repeatable")
        parser.add_argument(
            "--backends",
            type=lambda text: [name.strip() for name in text.split(",") if name.strip()],
            metavar="NAME,NAME",
            help="the tracking tools that hear of it, of those that are configured (default: all; always: database)",
        )
        parser.add_argument("--parent", type=int, metavar="JOB", help="a completed job, from whose weights it starts")
        parser.add_argument("--weights", choices=WEIGHTS, default="best", help="which of them (default: best)")
        parser.add_argument("--time-limit-hours", type=float, metavar="HOURS", help="for one attempt")
        parser.add_argument("--memory-limit-gb", type=float, metavar="GB", help="of 10^9 bytes")
        parser.add_argument(
            "--stop-at-nan", action="store_true", help="end the run at the first value that is no number"
        )
        parser.add_argument("--patience", type=int, metavar="EPOCHS", help="stop after so many without a better metric")
        parser.add_argument(
            "--watched-metrics", metavar="PATTERNS", help="whose values have to be numbers: train/*,val/*"
        )
        parser.add_argument("--priority", choices=PRIORITIES, default="normal", help="`high` is for managers and above")
        parser.add_argument("--wait", action="store_true", help="wait for the end, with progress on a terminal")
        parser.add_argument("--follow", action="store_true", help="wait for the end, and print the log on the way")
        parser.add_argument("--json", action="store_true", help="print one line of JSON: at once, or at the end")

    def handle(self, *args: Any, **options: Any) -> None:
        job = self._made(options)
        flush()
        address, waits = f"{settings.SITE_URL}/jobs/{job.pk}/", options["wait"] or options["follow"]
        if not options["json"]:
            self.stdout.write(f"Job {job.pk} is {job.state}: {address}")
        elif not waits:
            json_line(self.stdout, {"id": job.pk, "state": job.state, "address": address})
        if waits:
            self._wait(job, address, options)

    def _made(self, options: dict[str, Any]) -> TrainingJob:
        try:
            return self._create(options)
        except PermissionDenied as error:
            raise CommandError(f"{options['user']}: {error}") from error
        except ValidationError as error:
            problems = error.message_dict if hasattr(error, "error_dict") else {"": error.messages}
            lines = [f"{field}: {' '.join(texts)}" if field else " ".join(texts) for field, texts in problems.items()]
            raise CommandError("The job was not created.\n" + "\n".join(lines)) from error

    def _create(self, options: dict[str, Any]) -> TrainingJob:
        user = user_named(options["user"])
        organization, dataset = _data(user, options["organization"], options["dataset"], options["trainer"])
        require(user, Action.CREATE_JOB, organization)
        config = dict(map(setting_read, options["set"]))
        trainer = trainer_get(options["trainer"])
        kept = _kept(user, organization, options["pretrained"])
        named = {"parent": options["parent"], "weights": options["weights"]} if options["parent"] else {}
        weights = weights_described(user, organization, named)
        if kept is None and weights is None:  # before a project is made for nothing
            trainer.model_clean(dataset.task_type if dataset else trainer.tasks[0], options["model"])
        trainer.config_clean(config)
        if trainer.advanced_changed(config):
            require(user, Action.USE_ADVANCED_SETTINGS, organization)
        limits_check(options["time_limit_hours"], options["memory_limit_gb"])
        priority = priority_checked(user, organization, Priority[options["priority"].upper()])
        new_projects = allowed(user, Action.MANAGE_PROJECTS, organization)
        names = options["project"], options["experiment"]
        return job_create(
            user=user,
            experiment=experiment_named(organization, *names, by=user, new_projects=new_projects),
            trainer=trainer.name,
            model_name=options["model"],
            dataset=dataset,
            weights=kept,
            config=config,
            name=options["name"],
            observability_backends=options["backends"],
            weights_from=weights,
            time_limit_hours=options["time_limit_hours"],
            memory_limit_gb=options["memory_limit_gb"],
            watch=WatchOptions.of(options),
            priority=priority,
        )

    def _wait(self, job: TrainingJob, address: str, options: dict[str, Any]) -> None:
        wanted = LineFilter() if options["follow"] and not options["json"] else None
        try:
            with waiting(self.stderr, quiet=options["json"]) as shown:
                last = self._followed(job.pk, wanted, shown)
        except KeyboardInterrupt:
            self.stderr.write(DETACHED.format(job.pk, job.pk))
            interrupted()
            return
        if last is None:
            raise CommandError(f"Job {job.pk} was deleted.")
        self._ended(last.status.job, address, options["json"])

    def _followed(self, job_id: int, wanted: LineFilter | None, shown: Waiting) -> News | None:
        out = console(self.stdout) if on_terminal(self.stdout) else None
        news = None
        for news in job_follow(job_id, wanted):
            for line in news.lines:
                if out:
                    out.print(line_text(line, colours=True), soft_wrap=True)
                else:
                    self.stdout.write(line_text(line, colours=False))
            shown.show(news.status)
        return news

    def _ended(self, job: TrainingJob, address: str, as_json: bool) -> None:
        state = JobState(job.state)
        if as_json:
            told = {"id": job.pk, "state": job.state, "address": address, "error": job.error_message}
            json_line(self.stdout, told)
        code = CODES.get(state, 1)
        if code:
            reason = f": {job.error_message}" if job.error_message else "."
            raise CommandError(f"Job {job.pk} is {state.label.lower()}{reason}", returncode=code)
        if not as_json:
            self.stdout.write(f"Job {job.pk} is {state.label.lower()}.")


def _kept(user: User, organization: Organization, name: str) -> PretrainedWeights | None:
    """The weights of that name of the organization. Raises CommandError that lists those there are."""
    if not name:
        return None
    there = weights_visible(user, organization.pk)
    found: PretrainedWeights | None = there.filter(name=name).first()
    if found is None:
        names = ", ".join(there.values_list("name", flat=True)) or "none"
        raise CommandError(f"{user} sees no weights {name}; there are: {names}.")
    return found


def _data(user: User, slug: str, name: str, trainer: str) -> tuple[Organization, Dataset | None]:
    """Whose job it is to be, and on which data. Raises CommandError that tells what there is, where it is not clear."""
    mine = user.organizations.filter(slug=slug) if slug else user.organizations.all()
    found = _named(user, mine, name) if name else []
    if not name and not trainer_get(trainer).dataset and mine.count() == 1:
        return mine.get(), None
    if len(found) == 1:
        return found[0].organization, found[0] if trainer_get(trainer).dataset else None
    if len(found) > 1:
        names = ", ".join(f"{one.organization.slug}/{one.name}" for one in found)
        raise CommandError(f"{user} sees more than one dataset {name}: {names}. Say which, or use --organization.")
    names = ", ".join(f"{one.organization.slug}/{one.name}" for one in _visible(user, mine)[:50]) or "none"
    if name:
        raise CommandError(f"{user} sees no dataset {name}; there are: {names}.")
    if trainer_get(trainer).dataset:
        raise CommandError(f"{trainer_get(trainer).data_missing} There are: {names}.")
    raise CommandError(f"{user} has to say which organization: {', '.join(mine.values_list('slug', flat=True))}.")


def _named(user: User, mine: QuerySet[Organization], name: str) -> list[Dataset]:
    """The datasets of that name; or else of `SLUG/NAME`."""
    found = list(_visible(user, mine).filter(name=name))
    slug, slash, rest = name.partition("/")
    return found or (list(_visible(user, mine.filter(slug=slug)).filter(name=rest)) if slash else [])


def _visible(user: User, mine: QuerySet[Organization]) -> OrganizationQuerySet:
    datasets: OrganizationQuerySet = Dataset.objects.visible_to(user)
    return datasets.filter(organization__in=mine).select_related("organization").order_by("organization__slug", "name")


def setting_read(text: str) -> tuple[str, Any]:
    """("epochs", 5) of `epochs=5`: the value as JSON where it is some, else as text. Raises CommandError."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise CommandError(f"--set {text}: expected NAME=VALUE, such as epochs=50.")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value
