"""Presets: settings that an organization keeps under a name. The caller has checked the person's right."""

from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils.translation import gettext

from training.datasets.scan import plain
from training.models import JobPreset, Organization, User
from training.models.visibility import OrganizationQuerySet
from training.people.audit import audit, audit_changes
from training.trainers import trainer_get

NAME_LENGTH = 80


def preset_save(
    organization: Organization, trainer: str, task_type: str, name: str, config: dict[str, Any], user: User
) -> JobPreset:
    """Keep settings under a new name. Raises ValidationError with a message per field or setting."""
    name = " ".join(name.split())
    if not 0 < len(name) <= NAME_LENGTH or plain(name) != name:
        raise ValidationError(
            {
                "preset_name": gettext("A preset needs a name of 1 to %(most)s characters that show.")
                % {"most": NAME_LENGTH}
            }
        )
    if task_type not in trainer_get(trainer).tasks:
        raise ValidationError(
            {
                "task_type": gettext("%(trainer)s does not train %(task_type)s.")
                % {"trainer": trainer, "task_type": task_type}
            }
        )
    try:
        with transaction.atomic():
            made = JobPreset.objects.create(
                organization=organization,
                trainer=trainer,
                task_type=task_type,
                name=name,
                config=_changed(trainer, config),
                created_by=user,
            )
            audit("preset.save", made, by=user, new={"name": name, "settings": made.config})
            return made
    except IntegrityError as error:
        taken = gettext("There is already a preset called %(name)s: choose it and update it, or take another name.") % {
            "name": name
        }
        raise ValidationError({"preset_name": taken}) from error


def preset_update(preset: JobPreset, config: dict[str, Any]) -> JobPreset:
    """Keep other settings under its name. Raises ValidationError with a message per setting."""
    before, preset.config = preset.config, _changed(preset.trainer, config)
    with transaction.atomic():
        preset.save(update_fields=["config", "updated_at"])
        audit_changes("preset.update", preset, {"settings": before}, {"settings": preset.config})
    return preset


def preset_delete(preset: JobPreset) -> None:
    """Forget a preset; jobs made with it keep their settings."""
    with transaction.atomic():
        audit("preset.delete", preset, old={"name": preset.name, "settings": preset.config})
        preset.delete()


def presets_visible(user: User | AnonymousUser, organization_id: int | None = None) -> OrganizationQuerySet:
    """The presets that a person may see, newest first; of one organization only, if it is told."""
    presets: OrganizationQuerySet = JobPreset.objects.visible_to(user, organization_id)
    return presets.select_related("organization", "created_by").order_by("-id")


def _changed(trainer: str, config: dict[str, Any]) -> dict[str, Any]:
    manifest = trainer_get(trainer)
    return manifest.changed(manifest.config_clean(config))
