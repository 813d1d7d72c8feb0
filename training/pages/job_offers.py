"""The presets that the form of a new job offers: the trainer's own, and those of the organization."""

from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext

from training.jobs.presets import presets_visible
from training.models import JobPreset
from training.pages.job_choice import JobChoice
from training.people.roles import Action, allowed


@dataclass(frozen=True, slots=True)
class Offer:
    """One preset to choose; `kept` is its row, where it is not the trainer's own. `withheld` needs a higher role."""

    key: str
    name: str
    help: str
    config: dict[str, Any]
    kept: JobPreset | None = None
    may_edit: bool = False
    withheld: tuple[str, ...] = ()


def offers_of(choice: JobChoice) -> list[Offer]:
    """What there is for the chosen trainer and task, the trainer's own first."""
    trainer = choice.trainer
    if trainer is None:
        return []
    advanced = {one.name for one in trainer.settings if one.advanced and not choice.advanced}
    own = [one for one in trainer.presets if not one.tasks or choice.task in one.tasks]
    rows = presets_visible(choice.user, choice.organization.pk)
    kept = rows.filter(trainer=trainer.name, task_type=choice.task).order_by("name")[:100]
    found = [Offer(f"builtin:{one.name}", gettext(one.name), gettext(one.help), one.settings) for one in own]
    anybodys = allowed(choice.user, Action.EDIT_PRESET, choice.organization)
    for one in kept:
        may = anybodys or allowed_own(choice, one)
        found.append(Offer(str(one.pk), one.name, "", one.config, one, may))
    return [_withheld(one, advanced) for one in found]


def allowed_own(choice: JobChoice, preset: JobPreset) -> bool:
    """Whether one's own preset may be changed, without asking for the role again: who is here may create jobs."""
    return preset.created_by_id == choice.user.pk


def offer_chosen(offers: list[Offer], key: str) -> Offer | None:
    return next((one for one in offers if one.key == key), None)


def _withheld(offer: Offer, advanced: set[str]) -> Offer:
    names = tuple(sorted(advanced & set(offer.config)))
    return Offer(offer.key, offer.name, offer.help, offer.config, offer.kept, offer.may_edit, names)
