"""Which executor this worker uses: TRAINING_MODE says it."""

from django.conf import settings

from training.execution.executor import Executor


def executor_here() -> Executor:
    """The client of a cluster is loaded only where there is one."""
    if settings.TRAINING_MODE == "kubernetes":
        from training.execution.kubernetes import KubernetesExecutor

        return KubernetesExecutor()
    from training.execution.machine import MachineExecutor

    return MachineExecutor()
