"""The same job as the form's in other words: as YAML, as a call of the API, as a command."""

import json
import shlex
from typing import Any

from django.conf import settings

from training.models import Checkpoint
from training.pages.job_form import BACKEND, PREFIX, JobForm, backends_offered
from training.pages.job_limits import limits_said
from training.templatetags.text import plain_text

LINE = " \\\n  "  # a shell reads on after a backslash at the end


def command_line(form: JobForm, weights: Checkpoint | None = None) -> str:
    """`manage.py train …` with every setting that is not the default, quoted for a POSIX shell."""
    choice = form.choice
    if choice.trainer is None or (choice.needs_data and choice.data is None):
        return ""
    shown = _shown(form)
    options = {
        "user": choice.user.get_username(),
        "organization": choice.organization.slug,
        "project": shown["project"] or "PROJECT",
        "experiment": shown["experiment"],
        "trainer": choice.trainer.name,
        **_model(form, shown),
        "name": shown["name"],
    }
    changed = {one.name: value for one in form.schema if (value := form.value(one)) != one.default}
    parts = [_option(name, value) for name, value in options.items() if value]
    if weights:
        parts += [_option("parent", str(weights.job_id)), _option("weights", weights.kind)]
    parts += [_option(name.replace("_", "-"), str(value)) for name, value in limits_said(shown).items()]
    if not _all_backends(form):
        parts.append(_option("backends", ",".join(form.backends_chosen())))
    for name, value in form.watch_shown().said().items():
        option = name.replace("_", "-")
        parts.append(f"--{option}" if value is True else _option(option, str(value)))
    parts += [_option("set", f"{name}={_value(value)}") for name, value in changed.items()]
    if choice.data is None:
        return LINE.join(["python manage.py train", *parts])
    name = shlex.quote(choice.data.name)
    # what follows -- is no option, whatever it begins with
    return LINE.join(["python manage.py train", *parts, f"-- {name}" if name.startswith("-") else name])


def _model(form: JobForm, shown: dict[str, str]) -> dict[str, str]:
    """What it begins from: kept weights by their name, or else a model or a file."""
    kept = next((one.name for one in form.choice.pretrained if str(one.pk) == shown.get("pretrained")), "")
    return {"pretrained": kept} if kept else {"model": shown.get("weights") or shown["model"]}


def document_of(form: JobForm, weights: Checkpoint | None = None) -> dict[str, Any]:
    """What the form asks for, as `training.jobs.document` reads it: the basic settings, and what else was changed."""
    choice, shown = form.choice, _shown(form)
    if choice.trainer is None or (choice.needs_data and choice.data is None):
        return {}
    values = {one.name: form.value(one) for one in form.schema}
    kept = {one.name for one in form.schema if not one.advanced or values[one.name] != one.default}
    said = {
        "organization": choice.organization.slug,
        "project": shown["project"],
        "experiment": shown["experiment"],
        "name": shown["name"],
        "trainer": choice.trainer.name,
        "dataset": choice.data.name if choice.data else "",
        **_model(form, shown),
    }
    document: dict[str, Any] = {name: value for name, value in said.items() if value}
    if weights:
        document |= {"parent": weights.job_id, "weights": weights.kind}
    document |= limits_said(shown)
    if not _all_backends(form):
        document["observability_backends"] = form.backends_chosen()
    document |= form.watch_shown().said()
    return document | {"settings": {name: value for name, value in values.items() if name in kept}}


def curl_line(document: dict[str, Any]) -> str:
    """The call of the API that makes the job; the key is a variable, so that nobody copies a secret."""
    if not document:
        return ""
    parts = [
        f"curl --fail-with-body {shlex.quote(settings.SITE_URL + '/api/v1/training/jobs/described')}",
        '-H "Authorization: Bearer $TRAINING_API_KEY"',
        "-H 'Content-Type: application/json'",
        f"--data {shlex.quote(json.dumps(document, ensure_ascii=False, indent=1))}",
    ]
    return LINE.join(parts)


def _shown(form: JobForm) -> dict[str, str]:
    own = [name for name in form.fields if not name.startswith((PREFIX, BACKEND))]
    return {name: plain_text(str(form[name].value() or "")) for name in own}


def _all_backends(form: JobForm) -> bool:
    """Whether every configured backend is chosen, so that nothing needs to be said."""
    return len(form.backends_chosen()) > len(backends_offered())


def _option(name: str, value: str) -> str:
    return f"--{name}={shlex.quote(value)}" if value.startswith("-") else f"--{name} {shlex.quote(value)}"


def _value(value: Any) -> str:
    """A setting as `--set` reads it: JSON, and text as it is unless it could be taken for JSON."""
    if not isinstance(value, str):
        return json.dumps(value)
    try:
        json.loads(value)
    except ValueError:
        return value
    return json.dumps(value)
