"""Trainers as Jobs of a cluster: a stand-in of its API that knows the official client's schemas, and real processes."""

import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import settings as site
from kubernetes import client

from training.execution import kubernetes, pod_log
from training.execution.pod import job_of, label_of, secret_of
from training.execution.pod_state import state_of
from training.execution.workers import worker_announce, worker_recover
from training.jobs.attempts import job_claim
from training.jobs.failures import Cause
from training.jobs.services import job_cancel
from training.journal.reader import lines_after, records_after
from training.models import JobState, RecordKind, Slot, TrainingJob, Worker
from training.tests.cluster import TOKEN, Cluster, checked
from training.tests.conftest import job_make
from training.tests.test_execution import script_train, states, wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.once]
SDK = "from trainers.sdk import TrainerSDK\n"
Run = Callable[..., TrainingJob]


@pytest.fixture
def cluster(tmp_path: Path, settings: Any, live_server: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    folder = tmp_path / "node"
    folder.mkdir()
    one = Cluster(folder, tmp_path)
    settings.SITE_URL = live_server.url
    settings.TRAINING_MODE, settings.TRAINER_IMAGE_REGISTRY = "kubernetes", "images.example.com/training/"
    settings.K8S_KUBECONFIG, settings.K8S_TRAINING_NAMESPACE = str(one.kubeconfig()), "training"
    settings.HEARTBEAT_SECONDS, settings.LEASE_SECONDS = 1, 3
    settings.TERM_GRACE_SECONDS, settings.CANCEL_GRACE_SECONDS = 1, 5
    settings.TRAINERS_DIR = tmp_path / "pod_trainers"
    monkeypatch.setattr(kubernetes, "LOOK_SECONDS", 0.2)
    monkeypatch.setattr("training.execution.supervisor.KILL_SECONDS", 0.5)
    try:
        yield one
    finally:
        one.close()


@pytest.fixture
def run(cluster: Cluster, cast: Any, settings: Any, tmp_path: Path) -> Run:
    worker = worker_announce("training@gpu-machine.local")

    def begin(script: str, stopping: threading.Event | None = None, **fields: Any) -> TrainingJob:
        return script_train(tmp_path / "pod_trainers", cast, worker, script, stopping, **fields)

    return begin


def printed(job: TrainingJob, source: str = "stdout") -> list[str]:
    return [line.message for line in lines_after(job.pk, 0, 10_000) if line.source == source]


def test_a_job_is_trained_in_a_pod_and_all_that_it_said_is_here(run: Run, cluster: Cluster) -> None:
    job = run(
        f"{SDK}import os\n"
        "with TrainerSDK() as sdk:\n"
        "    sdk.report_started(2)\n"
        "    for n in range(50): sdk.report_progress({'loss': 1 / (n + 1)}, epoch=1, step=n); print('line', n)\n"
        "    print('devices', os.environ.get('CUDA_VISIBLE_DEVICES'), os.getcwd() == os.environ['WORK_DIR'])\n"
        "    sdk.report_completed({'loss': 0.02})\n"
    )
    assert job.state == JobState.COMPLETED, job.error_message
    assert cluster.refused == [] and printed(job) == [*(f"line {n}" for n in range(50)), "devices None True"]
    points = [record for record in records_after(job.pk, 0) if record.kind == RecordKind.METRICS]
    assert [point.values for point in points] == [(1 / (n + 1),) for n in range(50)]
    assert Slot.objects.exclude(attempt=None).count() == 0
    wait_until(lambda: not (cluster.jobs or cluster.secrets or cluster.pods))


def test_the_job_is_what_the_cluster_needs_to_hear(run: Run, cluster: Cluster, cast: Any, settings: Any) -> None:
    job = job_make(cast, trainer="ultralytics", config={"device": "0,1"}, memory_limit_gb=8)
    settings.TRAINERS_DIR = site.BASE_DIR / "trainers"
    slots = worker_announce("training@gpu-machine.local")
    attempt = job_claim(job.pk, slots)
    assert attempt is not None
    told = job_of(attempt)
    spec, pod = told["spec"], told["spec"]["template"]["spec"]
    trainer, courier = pod["containers"]
    assert (spec["backoffLimit"], spec["ttlSecondsAfterFinished"], pod["restartPolicy"]) == (0, 3600, "Never")
    assert trainer["image"] == "images.example.com/training/ultralytics:latest"
    assert trainer["resources"]["limits"] == {"nvidia.com/gpu": "2", "memory": "8000000000"}
    assert "resources" not in courier and {"name": "shm", "emptyDir": {"medium": "Memory"}} in pod["volumes"]
    assert {"name": "shm", "mountPath": "/dev/shm"} in trainer["volumeMounts"]
    assert told["metadata"]["labels"]["training-platform/job"] == str(job.pk)
    assert pod["automountServiceAccountToken"] is False and pod["securityContext"]["runAsNonRoot"] is True
    token = secret_of(attempt, {"name": "x", "uid": "y"})["stringData"]["token"]
    assert token and token not in json.dumps(told) and TOKEN not in json.dumps(told)
    assert site.SECRET_KEY not in json.dumps(told) and "DATABASE_URL" not in json.dumps(told)
    assert {one["name"]: one.get("value") for one in trainer["env"]}["DEVICE"] == "0,1"


@pytest.mark.parametrize(
    ("script", "kind", "cause", "words"),
    [
        (
            "import sys; print('last words', file=sys.stderr); sys.exit(3)",
            "FRAMEWORK_ERROR",
            Cause.EXIT_CODE,
            "last words",
        ),
        ("import os; os.kill(os.getpid(), 11)", "UNKNOWN_ERROR", Cause.SIGNAL, "SIGSEGV"),
        ("print('done')", "FRAMEWORK_ERROR", Cause.SILENT_END, "without saying so"),
    ],
)
def test_an_end_without_a_word_has_its_reason(run: Run, script: str, kind: str, cause: Cause, words: str) -> None:
    job = run(script)
    assert (job.state, job.error_type, job.error_code) == (JobState.FAILED, kind, cause) and words in job.error_message


def test_a_trainer_beyond_its_memory_limit_is_ended_by_the_cluster(run: Run) -> None:
    job = run("import time; taken = bytearray(400_000_000); time.sleep(60)", memory_limit_gb=0.2)
    assert (job.error_type, job.error_code) == ("RESOURCE_ERROR", Cause.HOST_MEMORY)


def test_a_trainer_that_hangs_is_lost_ended_and_tried_again(run: Run) -> None:
    job = run(
        f"{SDK}import os, signal, time\n"
        "sdk = TrainerSDK(); sdk.report_started(3); time.sleep(1.5)\n"
        "os.kill(os.getpid(), signal.SIGSTOP); time.sleep(60)"
    )
    assert states(job) == ["claimed", "running", "lost", "queued"] and job.state == JobState.QUEUED


def test_a_cancelled_job_saves_its_last_words(run: Run) -> None:
    def cancel() -> None:
        wait_until(lambda: TrainingJob.objects.filter(state=JobState.RUNNING).exists(), 30)
        job = TrainingJob.objects.get()
        job_cancel(job, job.created_by)

    canceller = threading.Thread(target=cancel)
    canceller.start()
    job = run(
        f"{SDK}import time\n"
        "sdk = TrainerSDK(); sdk.report_started(100)\n"
        "while not sdk.should_stop: time.sleep(0.05)\n"
        "print('saving'); sdk.close()\n"
    )
    canceller.join(30)
    assert job.state == JobState.CANCELLED and "saving" in printed(job)


def test_what_a_killed_trainer_had_not_sent_is_sent_by_its_courier(run: Run) -> None:
    """The trainer's whole container dies by SIGKILL with the platform's door shut; then the door opens."""
    script = (
        f"{SDK}import os, signal, time\n"
        "from trainers.sdk.connection import Connection; Connection.post = lambda *_: time.sleep(1000)\n"
        "sdk = TrainerSDK()\n"
        "for n in range(500): sdk.report_progress({'n': n}, step=n)\n"
        "os.kill(os.getppid(), 9); os.kill(os.getpid(), 9)\n"
    )
    job = run(script)
    values = [record for record in records_after(job.pk, 0) if record.kind == RecordKind.METRICS]
    assert len(values) == 500 and job.state == JobState.FAILED


def test_a_log_whose_connection_breaks_is_whole_and_once(run: Run, cluster: Cluster) -> None:
    cluster.break_logs_after = 40
    job = run("import time\nfor n in range(100): print('line', n, flush=True); time.sleep(0.02)")
    assert printed(job) == [f"line {n}" for n in range(100)] and cluster.break_logs_after is None


def test_an_api_that_is_away_ends_no_trainer(run: Run, cluster: Cluster) -> None:
    def cut() -> None:
        wait_until(lambda: TrainingJob.objects.filter(state=JobState.RUNNING).exists(), 30)
        cluster.away = True
        time.sleep(2)
        cluster.away = False

    cutter = threading.Thread(target=cut)
    cutter.start()
    job = run(
        f"{SDK}import time\nwith TrainerSDK() as sdk:\n"
        "    sdk.report_started(1); time.sleep(4); sdk.report_completed({})\n"
    )
    cutter.join(30)
    assert job.state == JobState.COMPLETED
    assert any("does not answer: 503" in line for line in printed(job, "kubernetes"))


def test_a_pod_that_the_cluster_takes_away_is_tried_again(run: Run, cluster: Cluster) -> None:
    def drain_the_node() -> None:
        wait_until(lambda: TrainingJob.objects.filter(state=JobState.RUNNING).exists(), 30)
        with cluster.lock:
            (pod,) = cluster.pods.values()
            why = {"reason": "EvictionByEvictionAPI", "message": "the node is drained"}
            pod.conditions.append({"type": "DisruptionTarget", "status": "True", **why})
            pod.stop(1)

    drainer = threading.Thread(target=drain_the_node)
    drainer.start()
    job = run(f"{SDK}import time\nsdk = TrainerSDK(); sdk.report_started(1); time.sleep(60)")
    drainer.join(30)
    assert job.state == JobState.QUEUED and states(job)[-2:] == ["lost", "queued"]


def test_waiting_for_room_is_told_and_ends(run: Run, cluster: Cluster, settings: Any) -> None:
    settings.K8S_START_SECONDS = 1.5
    cluster.blocked = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu."
    job = run("print('never')")
    assert printed(job, "kubernetes") == [f"Waiting for the cluster: {cluster.blocked}"]
    assert job.error_code == Cause.NOT_STARTED and "Insufficient nvidia.com/gpu" in job.error_message
    wait_until(lambda: not cluster.jobs)


def test_an_image_that_can_not_be_is_told_at_once(run: Run, cluster: Cluster) -> None:
    cluster.waiting = "InvalidImageName"
    job = run("print('never')")
    assert job.error_code == Cause.NOT_STARTED and "InvalidImageName: it can't be had" in job.error_message


def test_a_cluster_that_is_not_there_fails_the_start_with_words(run: Run, cluster: Cluster) -> None:
    cluster.away = True
    job = run("print('never')")
    assert job.error_code == Cause.NOT_STARTED and "the cluster does not take it: 503" in job.error_message
    assert Slot.objects.exclude(attempt=None).count() == 0


def test_a_cluster_that_is_not_set_up_fails_the_start_and_frees_the_slot(run: Run, settings: Any) -> None:
    settings.K8S_KUBECONFIG = "/there/is/none"
    job = run("print('never')")
    assert job.error_code == Cause.NOT_STARTED and "K8S_KUBECONFIG" in job.error_message
    assert Slot.objects.exclude(attempt=None).count() == 0


def test_a_start_that_fails_leaves_no_thread_behind(run: Run, cluster: Cluster) -> None:
    def readers() -> list[str]:
        return [one.name for one in threading.enumerate() if one.name.startswith(("read-", "pod-log"))]

    cluster.waiting = "InvalidImageName"
    run("print('never')")
    cluster.away = True
    run("print('never')")
    wait_until(lambda: readers() == [])


def test_a_worker_that_shuts_down_hands_its_job_back(run: Run) -> None:
    stopping = threading.Event()
    threading.Timer(3, stopping.set).start()
    job = run(f"{SDK}import time\nsdk = TrainerSDK(); sdk.report_started(1); time.sleep(60)", stopping)
    assert job.state == JobState.QUEUED


def test_a_starting_worker_removes_what_its_predecessor_left(cluster: Cluster, run: Run, cast: Any) -> None:
    run("print('to make the trainer')")
    (Path(site.TRAINERS_DIR) / "scripted" / "train.py").write_text(
        f"{SDK}import time\nsdk = TrainerSDK(); sdk.report_started(1); time.sleep(60)"
    )
    worker = Worker.objects.get()
    job = job_make(cast, trainer="scripted")
    attempt = job_claim(job.pk, worker)
    assert attempt is not None
    running = kubernetes.KubernetesExecutor().start(attempt)
    wait_until(lambda: TrainingJob.objects.get(pk=job.pk).state == JobState.RUNNING, 30)
    assert worker_recover(worker_announce(worker.name)) == 1
    assert not cluster.pods and not cluster.jobs
    wait_until(lambda: running.poll(0.1) is not None)
    running.settle()
    job.refresh_from_db()
    assert job.state == JobState.QUEUED and not Slot.objects.exclude(attempt=None).exists()


def test_a_name_becomes_a_label_that_the_cluster_takes() -> None:
    assert label_of(Worker(name="training@GPU 7.세계.local-")) == "training-GPU-7.--.local"
    assert len(label_of(Worker(name="a" * 200))) == 63 and label_of(None) == "none"


def test_nothing_is_known_of_a_pod_that_is_not_there() -> None:
    state = state_of(None)
    assert not (state.started or state.ended or state.hopeless)


def test_the_rights_that_are_shipped_are_what_the_worker_asks_for() -> None:
    """Every document is one that the client's models know, and the Role allows each call that was seen, no more."""
    kinds = {
        "Namespace": client.V1Namespace,
        "ServiceAccount": client.V1ServiceAccount,
        "Role": client.V1Role,
        "RoleBinding": client.V1RoleBinding,
        "NetworkPolicy": client.V1NetworkPolicy,
    }
    file = Path(site.BASE_DIR) / "deploy" / "kubernetes" / "training-worker.yaml"
    documents = [checked(kinds[one["kind"]], one) for one in yaml.safe_load_all(file.read_text())]
    role = next(one for one in documents if one["kind"] == "Role")
    allowed = {(resource, verb) for rule in role["rules"] for resource in rule["resources"] for verb in rule["verbs"]}
    source = Path(kubernetes.__file__).read_text() + Path(pod_log.__file__).read_text()
    calls = re.findall(
        r"\b(create|list|read|delete|delete_collection)_namespaced_(job|pod_log|pod|secret|event)\(", source
    )
    verbs = {"read": "get", "delete_collection": "deletecollection"}
    resources = {"pod_log": "pods/log"}
    assert {(resources.get(what, f"{what}s"), verbs.get(verb, verb)) for verb, what in calls} == allowed


def test_the_client_is_loaded_only_where_there_is_a_cluster() -> None:
    code = (
        "import sys, django; django.setup(); from training.execution.executors import executor_here\n"
        "executor_here(); import training.tasks; assert 'kubernetes' not in sys.modules"
    )
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "platform_site.settings", "TRAINING_MODE": "subprocess"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, timeout=60)


def test_a_worker_offers_what_it_may_ask_for(cluster: Cluster, settings: Any) -> None:
    settings.K8S_SLOTS = 3
    assert sorted(worker_announce("cluster@one").slots.values_list("device", flat=True)) == ["0", "1", "2"]
    settings.K8S_GPU_RESOURCE = ""
    assert sorted(worker_announce("cluster@two").slots.values_list("device", flat=True)) == ["cpu", "cpu-2", "cpu-3"]
