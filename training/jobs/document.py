"""A job as a document: what people keep beside their code and paste, as YAML or JSON."""

from typing import Any

import yaml
from django.core.exceptions import ValidationError
from django.utils.translation import gettext

from training.models import Priority

TEXTS = ("organization", "project", "experiment", "name", "trainer", "dataset", "model", "pretrained")
WATCHED = "watched_metrics"
NUMBERS = ("parent", "patience", "time_limit_hours", "memory_limit_gb")
WHOLE = ("parent", "patience")
FLAGS = ("stop_at_nan",)
PRIORITY, PRIORITIES = "priority", tuple(one.name.lower() for one in Priority)
WEIGHTS = "weights"  # which of the parent's checkpoints
BACKENDS = "observability_backends"
NEEDED = ("project", "trainer")
MAX_LENGTH = 64 * 1024
Scalar = (str, int, float, bool)


class _Loader(yaml.SafeLoader):
    """YAML without references, by which a small text can become an enormous one."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError(gettext("references (*name) are not allowed"))
        return super().compose_node(parent, index)


def document_write(document: dict[str, Any]) -> str:
    """The document as YAML that `document_read` gives back exactly."""
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=1000) if document else ""


def document_read(text: str) -> dict[str, Any]:
    """The document in YAML (or JSON, which is some). Raises ValidationError with what is wrong, and in which line."""
    if len(text) > MAX_LENGTH:
        raise ValidationError({"yaml": gettext("At most %(most)s KiB.") % {"most": MAX_LENGTH // 1024}})
    try:
        said = yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        message = gettext("this is not valid YAML: %(problem)s.") % {"problem": error.problem}
        if error.problem_mark:
            told = {"line": error.problem_mark.line + 1, "problem": error.problem}
            message = gettext("Line %(line)s: this is not valid YAML: %(problem)s.") % told
        raise ValidationError({"yaml": message}) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ValidationError(
            {"yaml": gettext("This is not valid YAML: %(error)s.") % {"error": str(error)[:200]}}
        ) from error
    return document_checked(said)


def document_checked(said: Any) -> dict[str, Any]:
    """The document, if it has the form of one. Raises ValidationError with a message per key."""
    if not isinstance(said, dict):
        raise ValidationError({"yaml": gettext("It must have keys: project, trainer, model, settings …")})
    errors: dict[str, str] = {}
    for key, value in said.items():
        if key == "settings":
            errors |= _settings_problems(value)
        elif key == BACKENDS:
            errors |= _backends_problems(value)
        elif key in NUMBERS:
            errors |= _number_problems(key, value)
        elif key in FLAGS:
            errors |= {} if isinstance(value, bool) else {key: gettext("%(key)s must be true or false.") % {"key": key}}
        elif key == PRIORITY:
            errors |= (
                {}
                if value in PRIORITIES
                else {key: gettext("priority must be %(priorities)s.") % {"priorities": ", ".join(PRIORITIES)}}
            )
        elif key not in (*TEXTS, WEIGHTS, WATCHED):
            known = ", ".join([*TEXTS, *NUMBERS, *FLAGS, WATCHED, WEIGHTS, PRIORITY, BACKENDS, "settings"])
            errors["yaml"] = gettext("%(key)s: there is no such key; there are %(known)s.") % {
                "key": str(key)[:80],
                "known": known,
            }
        elif not isinstance(value, str):
            errors[key] = gettext("%(key)s must be text; in quotes, if it looks like a number or a date.") % {
                "key": key
            }
    if errors:
        raise ValidationError(errors)
    return {"settings": {}, **said} | {"settings": said.get("settings") or {}}


def _settings_problems(settings: Any) -> dict[str, str]:
    if settings is None:
        return {}
    if not isinstance(settings, dict):
        return {"settings": gettext("settings must be a list of names and values.")}
    wrong = [name for name, value in settings.items() if not (isinstance(name, str) and isinstance(value, Scalar))]
    return (
        {"settings": gettext("settings: %(wrong)s must be a name with one value.") % {"wrong": str(wrong[0])[:80]}}
        if wrong
        else {}
    )


def _backends_problems(names: Any) -> dict[str, str]:
    if isinstance(names, list) and all(isinstance(name, str) for name in names):
        return {}
    return {BACKENDS: gettext("%(backends)s must be a list of names.") % {"backends": BACKENDS}}


def _number_problems(key: str, value: Any) -> dict[str, str]:
    """A job is known by its number, a whole one; limits are numbers too."""
    kinds = (int,) if key in WHOLE else (int, float)
    if isinstance(value, kinds) and not isinstance(value, bool) and 0 < value < 2**63:
        return {}
    whole, number = gettext("%(key)s must be a whole number above 0."), gettext("%(key)s must be a number above 0.")
    return {key: (whole if key in WHOLE else number) % {"key": key}}
