"""REST: alerts of a project: where they are sent, when, and what was sent."""

from datetime import datetime
from typing import Annotated, Any, Literal

from django.http import HttpRequest
from ninja import Query, Router, Schema, Status
from pydantic import Field

from training.alerts import services
from training.alerts.conditions import condition_said
from training.alerts.selectors import messages_visible, rules_visible, targets_visible
from training.api.rest_pages import Id, Page, PageQuery, caller_of, one_of, page_answer
from training.models import AlertMessage, AlertRule, AlertTarget, Project
from training.people.roles import Action, require
from training.projects.selectors import projects_visible

router = Router(tags=["alerts"])
Name = Annotated[str, Field(min_length=1, max_length=services.NAME_LENGTH, examples=["Team channel"])]


class TargetIn(Schema):
    name: Name
    kind: Literal["email", "webhook", "apprise"]
    address: Annotated[
        str,
        Field(
            max_length=1000, description="Never shown again.", examples=["slack://token/token/token", "me@example.org"]
        ),
    ]


class TargetOut(Schema):
    id: int
    name: str
    kind: str
    shown: Annotated[str, Field(description="As much of the address as is shown.", examples=["https://example.org/…"])]
    sent_at: Annotated[datetime | None, Field(description="When the last message arrived.")]


class Targets(Page):
    items: list[TargetOut]


class ConditionIn(Schema):
    """What the rule's kind has of it: `states`, or metric, side, threshold and reports, or `minutes`."""

    states: Annotated[list[str], Field(max_length=10, examples=[["failed"]])] = []
    metric: Annotated[str, Field(max_length=255, description="A name, or a pattern such as val/*.")] = ""
    side: Literal["above", "below"] = "above"
    threshold: float | None = None
    reports: Annotated[int | None, Field(ge=1, le=10_000, description="In a row.")] = None
    minutes: Annotated[int | None, Field(ge=1, le=10_080)] = None


class RuleIn(Schema):
    name: Name
    kind: Literal["state", "metric", "nan", "stalled", "worker"]
    condition: ConditionIn = ConditionIn()
    targets: Annotated[list[Id], Field(min_length=1, max_length=50, examples=[[3]])]


class RulePatch(Schema):
    name: Name | None = None
    condition: ConditionIn | None = None
    targets: Annotated[list[Id] | None, Field(max_length=50)] = None
    enabled: bool | None = None


class RuleOut(Schema):
    id: int
    name: str
    kind: str
    condition: dict[str, Any]
    said: Annotated[str, Field(description="The condition in words.", examples=["a job becomes failed"])]
    targets: list[int]
    enabled: bool


class Rules(Page):
    items: list[RuleOut]


class MessageOut(Schema):
    id: int
    state: Literal["waiting", "sent", "failed"]
    title: str
    job: int | None
    rule: int | None
    target: int
    tries: int
    together: Annotated[int, Field(description="How many alerts the message that it went in held.")]
    error: str
    created_at: datetime
    sent_at: datetime | None


class Messages(Page):
    items: list[MessageOut]


class TestOut(Schema):
    id: Annotated[int, Field(description="In the project's log of alerts.")]


@router.get("/projects/{int:project_id}/alert-targets", response=Targets, url_name="alert-target-list")
def target_list(request: HttpRequest, project_id: int, wanted: Query[PageQuery]) -> Any:
    """Where its alerts are sent."""
    caller, project = caller_of(request), _project(request, project_id, Action.SEE)
    return page_answer(targets_visible(caller.user, caller.organization_id).filter(project=project), wanted)


@router.post("/projects/{int:project_id}/alert-targets", response={201: TargetOut}, url_name="alert-target-create")
def target_create(request: HttpRequest, project_id: int, body: TargetIn) -> Any:
    """A new place for alerts. Its address is kept encrypted."""
    project = _project(request, project_id, Action.MANAGE_ALERTS)
    made = services.target_create(project, caller_of(request).user, body.name, body.kind, body.address)
    return Status(201, made)


@router.delete("/alert-targets/{int:target_id}", response={204: None}, url_name="alert-target")
def target_remove(request: HttpRequest, target_id: int) -> Any:
    """Send nothing there any more."""
    services.target_remove(_target(request, target_id), caller_of(request).user)
    return Status(204, None)


@router.post("/alert-targets/{int:target_id}/test", response={202: TestOut}, url_name="alert-target-test")
def target_test(request: HttpRequest, target_id: int) -> Any:
    """Send a test there; what becomes of it stands in the log."""
    made = services.target_test(_target(request, target_id), caller_of(request).user)
    return Status(202, {"id": made.pk})


@router.get("/projects/{int:project_id}/alert-rules", response=Rules, url_name="alert-rule-list")
def rule_list(request: HttpRequest, project_id: int, wanted: Query[PageQuery]) -> Any:
    """When people are told."""
    caller, project = caller_of(request), _project(request, project_id, Action.SEE)
    page = page_answer(rules_visible(caller.user, caller.organization_id).filter(project=project), wanted)
    return page | {"items": [_rule_out(rule) for rule in page["items"]]}


@router.post("/projects/{int:project_id}/alert-rules", response={201: RuleOut}, url_name="alert-rule-create")
def rule_create(request: HttpRequest, project_id: int, body: RuleIn) -> Any:
    """A new rule; what happened before it is not told."""
    project = _project(request, project_id, Action.MANAGE_ALERTS)
    condition = body.condition.model_dump(exclude_unset=True)
    made = services.rule_create(project, caller_of(request).user, body.name, body.kind, condition, body.targets)
    return Status(201, _rule_out(made))


@router.patch("/alert-rules/{int:rule_id}", response=RuleOut, url_name="alert-rule")
def rule_change(request: HttpRequest, rule_id: int, body: RulePatch) -> Any:
    """Change it, or switch it off and on."""
    said = body.model_dump(exclude_unset=True)
    return _rule_out(services.rule_change(_rule(request, rule_id), caller_of(request).user, **said))


@router.delete("/alert-rules/{int:rule_id}", response={204: None}, url_name="alert-rule")
def rule_remove(request: HttpRequest, rule_id: int) -> Any:
    """Remove it, and what the log holds of it."""
    services.rule_remove(_rule(request, rule_id), caller_of(request).user)
    return Status(204, None)


@router.get("/projects/{int:project_id}/alerts", response=Messages, url_name="alert-list")
def alert_list(request: HttpRequest, project_id: int, wanted: Query[PageQuery]) -> Any:
    """The log: every alert on its way to every target."""
    caller, project = caller_of(request), _project(request, project_id, Action.SEE)
    rows = messages_visible(caller.user, caller.organization_id).filter(target__project=project)
    page = page_answer(rows, wanted)
    return page | {"items": [_message_out(row) for row in page["items"]]}


def _rule_out(rule: AlertRule) -> dict[str, Any]:
    same = {name: getattr(rule, name) for name in ("id", "name", "kind", "condition", "enabled")}
    return same | {
        "said": condition_said(rule.kind, rule.condition),
        "targets": sorted(one.pk for one in rule.targets.all()),
    }


def _message_out(row: AlertMessage) -> dict[str, Any]:
    same = ("id", "state", "tries", "together", "error", "created_at", "sent_at")
    alert = row.alert
    return {name: getattr(row, name) for name in same} | {
        "title": alert.title if alert else "Test",
        "job": alert.job_id if alert else None,
        "rule": alert.rule_id if alert else None,
        "target": row.target_id,
    }


def _project(request: HttpRequest, project_id: int, action: Action) -> Project:
    caller = caller_of(request)
    found: Project = one_of(projects_visible(caller.user, caller.organization_id), project_id)
    require(caller.user, action, found)
    return found


def _target(request: HttpRequest, target_id: int) -> AlertTarget:
    caller = caller_of(request)
    found: AlertTarget = one_of(targets_visible(caller.user, caller.organization_id), target_id)
    require(caller.user, Action.MANAGE_ALERTS, found)
    return found


def _rule(request: HttpRequest, rule_id: int) -> AlertRule:
    caller = caller_of(request)
    found: AlertRule = one_of(rules_visible(caller.user, caller.organization_id), rule_id)
    require(caller.user, Action.MANAGE_ALERTS, found)
    return found
