"""What a pod says of its trainer: waiting (and for what), started, or ended (and how)."""

from dataclasses import dataclass, field
from typing import Any

from training.execution.executor import Exit
from training.execution.pod import TRAINER

HOPELESS = {"InvalidImageName", "ErrImageNeverPull", "CreateContainerError", "RunContainerError"}


@dataclass(slots=True)
class PodState:
    started: bool = False
    ended: bool = False
    exit: Exit = field(default_factory=Exit)
    out_of_memory: bool = False
    waiting: str = ""  # what it waits for, as the cluster says it
    hopeless: bool = False  # what it waits for never comes


def state_of(pod: Any) -> PodState:
    """The state of a V1Pod, or of none."""
    if pod is None:
        return PodState()
    status = next((one for one in pod.status.container_statuses or [] if one.name == TRAINER), None)
    state = status.state if status is not None else None
    if state is not None and state.terminated is not None:
        return _ended(pod, state.terminated)
    if pod.status.phase == "Failed":  # evicted before it began, or its node is gone
        return PodState(ended=True, exit=Exit(gone=_why(pod)))
    if state is not None and state.running is not None:
        return PodState(started=True)
    waiting = state.waiting if state is not None else None
    reason = (waiting.reason or "") if waiting is not None else ""
    words = ": ".join(filter(None, [reason, waiting.message or ""])) if waiting is not None else ""
    return PodState(waiting=_unscheduled(pod) or words or "its containers are made", hopeless=reason in HOPELESS)


def _ended(pod: Any, terminated: Any) -> PodState:
    code = terminated.exit_code
    out_of_memory = terminated.reason == "OOMKilled"
    if code and (gone := _disrupted(pod)):
        return PodState(ended=True, exit=Exit(gone=gone))
    ended = Exit(signal=terminated.signal or code - 128) if terminated.signal or code > 128 else Exit(code=code)
    return PodState(ended=True, exit=ended, out_of_memory=out_of_memory)


def _disrupted(pod: Any) -> str:
    """Why the cluster itself ended the pod; empty if it did not."""
    for condition in pod.status.conditions or []:
        if condition.type == "DisruptionTarget" and condition.status == "True":
            return f"the cluster ended its pod ({condition.reason}: {condition.message or ''})"
    return _why(pod) if pod.status.reason in ("Evicted", "NodeLost", "Shutdown", "Terminated") else ""


def _why(pod: Any) -> str:
    words = ": ".join(filter(None, [pod.status.reason, pod.status.message]))
    return f"the cluster ended its pod ({words or 'it does not say why'})"


def _unscheduled(pod: Any) -> str:
    for condition in pod.status.conditions or []:
        if condition.type == "PodScheduled" and condition.status == "False":
            return condition.message or condition.reason or ""
    return ""
