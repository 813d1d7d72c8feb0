"""Trainers as Jobs of a Kubernetes cluster: this worker asks the cluster's API, and supervises from afar.

What a worker does itself on its own machine, the cluster does here: the kubelet ends a trainer that hangs (liveness
probe), or takes too much memory (limit). An API that is away for a while ends nothing: trainers train on.
"""

import logging
import os
import threading
import time as clock
from collections.abc import Sequence
from typing import Any

from django.conf import settings
from kubernetes import client
from kubernetes.client.exceptions import ApiException
from kubernetes.config import ConfigException, load_incluster_config, load_kube_config
from urllib3.exceptions import HTTPError

from training.execution.executor import DRAIN_SECONDS, Exit
from training.execution.output import Output
from training.execution.pod import PREFIX, job_of, label_of, pod_name, secret_of
from training.execution.pod_log import LogFollower
from training.execution.pod_state import PodState, state_of
from training.jobs.slots import CPU
from training.models import JobAttempt, Worker

logger = logging.getLogger(__name__)
AWAY = (ApiException, HTTPError, OSError)
TIMEOUT = (5, 30)  # seconds: to connect, to answer
LOOK_SECONDS = 2.0
KILL_SECONDS = 2
SETTLE_SECONDS = 10.0
RECOVER_SECONDS = 15.0  # beyond the grace that pods have


class Cluster:
    """The calls that are needed, each bounded in time. Raises OSError where no cluster is set up."""

    def __init__(self) -> None:
        configuration = client.Configuration()
        try:
            if settings.K8S_KUBECONFIG:
                load_kube_config(config_file=str(settings.K8S_KUBECONFIG), client_configuration=configuration)
            else:
                load_incluster_config(client_configuration=configuration)
        except ConfigException as error:
            raise OSError(f"the cluster is not set up (K8S_KUBECONFIG): {error}") from error
        api = client.ApiClient(configuration)
        self.core, self.batch = client.CoreV1Api(api), client.BatchV1Api(api)
        self.namespace = settings.K8S_TRAINING_NAMESPACE

    def job_make(self, attempt: JobAttempt) -> None:
        """The Job, and the Secret that belongs to it: its pod waits until that is there. Raises OSError."""
        try:
            told: Any = client.V1Job.from_dict(job_of(attempt))
            job: Any = self.batch.create_namespaced_job(self.namespace, told, _request_timeout=TIMEOUT)
            owner = {"name": job.metadata.name, "uid": job.metadata.uid}
            secret: Any = client.V1Secret.from_dict(secret_of(attempt, owner))
            self.core.create_namespaced_secret(self.namespace, secret, _request_timeout=TIMEOUT)
        except AWAY as error:
            raise OSError(f"the cluster does not take it: {_reason(error)}") from error

    def pod(self, attempt: JobAttempt) -> Any:
        """The attempt's pod; None if there is none."""
        found = self.core.list_namespaced_pod(
            self.namespace, label_selector=f"job-name={pod_name(attempt)}", _request_timeout=TIMEOUT
        )
        return found.items[0] if found.items else None

    def job_there(self, attempt: JobAttempt) -> bool:
        chosen = f"{PREFIX}job={attempt.job_id},{PREFIX}attempt={attempt.number}"
        found = self.batch.list_namespaced_job(self.namespace, label_selector=chosen, _request_timeout=TIMEOUT)
        return bool(found.items)

    def pod_end(self, name: str, seconds: int) -> None:
        self.core.delete_namespaced_pod(name, self.namespace, grace_period_seconds=seconds, _request_timeout=TIMEOUT)

    def probe_failed(self, name: str) -> bool:
        """Whether the kubelet has ended this pod's trainer because it hung."""
        chosen = f"involvedObject.name={name},reason=Unhealthy"
        events = self.core.list_namespaced_event(self.namespace, field_selector=chosen, _request_timeout=TIMEOUT)
        return any("liveness" in (event.message or "").lower() for event in events.items)

    def job_remove(self, attempt: JobAttempt) -> None:
        """The Job, and by that its pod and Secret; one that is gone already is fine."""
        try:
            self.batch.delete_namespaced_job(
                pod_name(attempt), self.namespace, propagation_policy="Background", _request_timeout=TIMEOUT
            )
        except ApiException as error:
            if error.status != 404:
                raise

    def jobs_remove(self, worker: Worker) -> int:
        """All Jobs of a worker; how many there were. Returns when their pods are gone, or are given up."""
        chosen = f"{PREFIX}worker={label_of(worker)}"
        found = self.batch.list_namespaced_job(self.namespace, label_selector=chosen, _request_timeout=TIMEOUT)
        self.batch.delete_collection_namespaced_job(
            self.namespace, label_selector=chosen, propagation_policy="Background", _request_timeout=TIMEOUT
        )
        deadline = clock.monotonic() + settings.TERM_GRACE_SECONDS + DRAIN_SECONDS + RECOVER_SECONDS
        while clock.monotonic() < deadline:
            left = self.core.list_namespaced_pod(self.namespace, label_selector=chosen, _request_timeout=TIMEOUT)
            if not left.items:
                break
            clock.sleep(0.5)
        return len(found.items)


class KubernetesRunning:
    def __init__(self, cluster: Cluster, attempt: JobAttempt) -> None:
        cluster.job_make(attempt)
        self._cluster, self._attempt = cluster, attempt
        self._limit = clock.monotonic() + settings.K8S_START_SECONDS
        self._next_look = 0.0
        self._exit: Exit | None = None
        self._pod, self._said = "", ""
        self._oom = 0
        self._stopped = threading.Event()
        said, self._say = os.pipe()
        self._log = LogFollower(cluster.core, cluster.namespace)
        self.output = Output({"stdout": self._log.stream, "kubernetes": os.fdopen(said, "rb")})

    def poll(self, seconds: float) -> Exit | None:
        if self._exit is None:
            clock.sleep(min(seconds, max(0.0, self._next_look - clock.monotonic())))
            if clock.monotonic() >= self._next_look:
                self._look()
        return self._exit

    def _look(self) -> None:
        self._next_look = clock.monotonic() + LOOK_SECONDS
        try:
            pod = self._cluster.pod(self._attempt)
            state = state_of(pod)
            gone = pod is None and (self._pod != "" or not self._cluster.job_there(self._attempt))
            if state.ended and self._hung(state):
                silence = f"no sign of life for {settings.LEASE_SECONDS:g} s"
                state.exit = Exit(signal=state.exit.signal, hung=f"the trainer hangs: {silence}")
        except AWAY as error:
            self._tell(f"The cluster's API does not answer: {_reason(error)}")
            return
        if gone:
            self._end(Exit(signal=15) if self._stopped.is_set() else Exit(gone="its pod was deleted"))
        else:
            self._follow(pod, state)

    def _hung(self, state: PodState) -> bool:
        """Whether it did not end by itself, nor because we or the cluster wanted its room."""
        by_itself = state.exit.code == 0 or state.exit.gone or state.out_of_memory or self._stopped.is_set()
        return not by_itself and self._cluster.probe_failed(self._pod)

    def _follow(self, pod: Any, state: PodState) -> None:
        if pod is not None:
            self._pod = pod.metadata.name
        if state.ended:
            self._oom = int(state.out_of_memory)
            self._log.begin(self._pod)
            self._end(Exit(signal=15) if state.exit.gone and self._stopped.is_set() else state.exit)
        elif state.started:
            self._log.begin(self._pod)
        else:
            self._wait_or_give_up(state)

    def _wait_or_give_up(self, state: PodState) -> None:
        self._tell(f"Waiting for the cluster: {state.waiting or 'no pod yet'}")
        if state.hopeless or clock.monotonic() > self._limit:
            self._end(Exit())
            self.settle()  # nobody else will, and its readers wait
            raise OSError(f"the cluster did not start it: {state.waiting or 'no pod was made'}")

    def _tell(self, sentence: str) -> None:
        """Among the job's log lines, once."""
        if sentence != self._said:
            self._said = sentence
            os.write(self._say, f"{sentence}\n".encode())

    def _end(self, ended: Exit) -> None:
        self._exit = ended
        self._log.end()

    def stop(self, force: bool = False) -> None:
        if self._exit is None:
            self._stopped.set()
            grace = KILL_SECONDS if force else int(settings.TERM_GRACE_SECONDS + DRAIN_SECONDS)
            try:
                if self._pod:
                    self._cluster.pod_end(self._pod, grace)
                else:
                    self._cluster.job_remove(self._attempt)
            except AWAY as error:  # asked again: the supervisor forces what does not end
                logger.warning("%s could not be stopped: %s", self._attempt, _reason(error))

    def settle(self) -> None:
        os.close(self._say)
        self.output.wait(SETTLE_SECONDS)

    def sample(self) -> dict[str, float]:
        return {}  # its node is not this machine

    def memory(self) -> int:
        return 0

    def silent_seconds(self) -> float:
        return 0.0

    def oom_kills(self) -> int:
        return self._oom


class KubernetesExecutor:
    def devices(self) -> dict[str, str]:
        numbers = range(settings.K8S_SLOTS)
        if settings.K8S_GPU_RESOURCE:
            return {str(n): f"{settings.K8S_GPU_RESOURCE} of the cluster" for n in numbers}
        return {CPU if n == 0 else f"{CPU}-{n + 1}": "CPU of the cluster" for n in numbers}

    def start(self, attempt: JobAttempt) -> KubernetesRunning:
        return KubernetesRunning(Cluster(), attempt)

    def drain(self, attempt: JobAttempt) -> None:
        """The pod's courier does: until its container has ended, or its time is over."""
        cluster, deadline = Cluster(), clock.monotonic() + DRAIN_SECONDS
        while clock.monotonic() < deadline:
            try:
                pod = cluster.pod(attempt)
            except AWAY as error:
                logger.warning("Whether the spool of %s was sent is not known: %s", attempt, _reason(error))
                return
            if pod is None or pod.status.phase in ("Succeeded", "Failed"):
                return
            clock.sleep(0.5)

    def clear(self, attempt: JobAttempt) -> None:
        try:
            Cluster().job_remove(attempt)
        except AWAY as error:  # its deadline and its time to live end it without us
            logger.warning("%s could not be removed: %s", pod_name(attempt), _reason(error))

    def recover(self, worker: Worker, attempts: Sequence[JobAttempt]) -> int:
        return Cluster().jobs_remove(worker)


def _reason(error: Exception) -> str:
    """What an error of the client says, in a line."""
    return f"{error.status} {error.reason}" if isinstance(error, ApiException) else f"{type(error).__name__}: {error}"
