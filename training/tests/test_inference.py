"""The quick test: pictures judged at the door, a real model in a confined process, results read with distrust."""

import hashlib
import json
import shutil
import subprocess
import sys
import threading
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone
from PIL import Image

from training.execution.workers import worker_present
from training.inference import run, services
from training.inference.picture import picture_clean
from training.inference.result import BadResult, result_read
from training.inference.services import (
    inference_claim,
    inference_create,
    inference_end,
    inference_hand_back,
    inferences_sweep,
)
from training.jobs.keeping import job_delete, jobs_purge
from training.jobs.waiting import workers_seen
from training.models import Checkpoint, InferenceJob, InferenceState, JobAttempt, JobState, TrainingJob, Worker
from training.storage.store import internal_store
from training.tests.conftest import job_make
from training.tests.datasets_folder import picture

pytestmark = [pytest.mark.django_db, pytest.mark.once]
OBJECT = {"class": 1, "score": 0.8, "outline": [[0.1, 0.1], [0.5, 0.1], [0.5, 0.6], [0.1, 0.6]]}
RESULT = {"task": "detect", "milliseconds": 12, "classes": ["cat", "dog"], "objects": [OBJECT]}


@pytest.fixture
def job(cast: SimpleNamespace) -> TrainingJob:
    """A completed job with a checkpoint that is in the store."""
    made = job_make(cast, JobState.COMPLETED, config={"imgsz": 64})
    checkpoint_make(made, b"PK\x03\x04 weights")
    return made


def checkpoint_make(job: TrainingJob, content: bytes, **fields: Any) -> Checkpoint:
    times = {"opened_at": job.created_at, "lease_until": job.created_at}
    attempt, _ = JobAttempt.objects.get_or_create(job=job, number=1, defaults=times)
    key = f"jobs/{job.pk}/attempts/1/checkpoints/best-{len(content)}.pt"
    internal_store().put(key, content)
    said = {"kind": "best", "key": key, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    return Checkpoint.objects.create(job=job, attempt=attempt, **(said | fields))


def signed_in(user: Any) -> Client:
    client = Client()
    client.force_login(user)
    return client


def send(user: Any, job: TrainingJob, content: bytes, name: str = "a.png", **headers: str) -> Any:
    file = SimpleUploadedFile(name, content)
    return signed_in(user).post(f"/jobs/{job.pk}/test/", {"picture": file}, headers=headers)


def bomb() -> bytes:
    """A PNG of 20,000 × 20,000 pixels in a few kilobytes of nothing."""
    file = BytesIO()
    Image.new("1", (20_000, 20_000)).save(file, "PNG")
    return file.getvalue()


def test_a_picture_is_kept_written_anew_and_waits(cast: SimpleNamespace, job: TrainingJob) -> None:
    photo = BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    exif[0x010E] = "a secret place"
    Image.new("RGB", (40, 20), "red").save(photo, "JPEG", exif=exif)
    answer = send(cast.owner, job, photo.getvalue(), "../my <b>cat</b>.jpg")
    made = InferenceJob.objects.get()
    assert answer["Location"] == f"/inferences/{made.pk}/"
    assert (made.state, made.width, made.height) == (InferenceState.WAITING, 20, 40)
    assert b"secret" not in internal_store().get(made.picture_key)
    page = signed_in(cast.owner).get(f"/inferences/{made.pk}/").content.decode()
    assert "No worker is running" in page and "<b>cat</b>" not in page
    shown = signed_in(cast.owner).get(f"/inferences/{made.pk}/picture/")
    assert (shown["Content-Type"], shown["X-Content-Type-Options"]) == ("image/jpeg", "nosniff")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"abc", "is not a picture that can be read"),
        (b"", "is not a picture that can be read"),
        (b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", "is not a picture that can be read"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 20 20\n", "is not a picture that can be read"),
        (picture(5, 5), "has only 5 × 5 pixels"),
        (picture(640, 480, "JPEG")[:2000], "is damaged"),
        (bomb, "has more than 40,000,000 pixels"),
        (lambda: b"x" * (8 * 1024 * 1024 + 1), "is larger than 8 MiB"),
    ],
)
def test_what_is_no_picture_is_refused_in_plain_words(cast, job, content, message, settings) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = None  # the server's own limit is another test's
    content = content() if callable(content) else content
    answer = send(cast.owner, job, content)
    assert answer.status_code == 400
    text = answer.content.decode().replace("&#x27;", "'")
    assert message in text
    told = signed_in(cast.owner).post(
        f"/api/v1/training/jobs/{job.pk}/inference", {"picture": SimpleUploadedFile("a.png", content)}
    )
    assert told.status_code == 422
    assert not InferenceJob.objects.exists()


@pytest.mark.parametrize("kind", ["multipart/form-data", "multipart/form-data; boundary=none", "application/json"])
def test_a_body_that_is_no_form_is_refused(cast: SimpleNamespace, job: TrainingJob, kind: str) -> None:
    address = f"/api/v1/training/jobs/{job.pk}/inference"
    answer = signed_in(cast.owner).post(address, b"{}", content_type=kind)
    assert answer.status_code in (400, 415, 422), answer.content
    assert answer["Content-Type"] == "application/problem+json"


def test_the_pictures_of_a_deleted_job_are_seen_by_nobody_and_go_with_it(cast, job, settings) -> None:
    made = inference_create(cast.owner, job, picture(), "a.png")
    internal_store().put(f"jobs/{job.pk}/attempts/1/artifacts/a.png", picture())
    job_delete(job, cast.owner)
    for address in (f"/inferences/{made.pk}/picture/", f"/api/v1/training/inference/{made.pk}"):
        assert signed_in(cast.owner).get(address).status_code == 404
    settings.DELETED_JOBS_DAYS = -1
    assert jobs_purge() == 1
    assert not InferenceJob.objects.exists() and list(internal_store().list(f"jobs/{job.pk}")) == []


def test_a_form_without_a_picture_and_a_job_without_a_checkpoint_are_told(cast, job) -> None:
    assert signed_in(cast.owner).post(f"/jobs/{job.pk}/test/").status_code == 400
    other = job_make(cast, JobState.COMPLETED)
    answer = send(cast.owner, other, picture())
    assert answer.status_code == 400 and "no checkpoint" in answer.content.decode()
    assert "Once there is a checkpoint" in signed_in(cast.owner).get(f"/jobs/{other.pk}/test/").content.decode()


def test_one_person_does_not_fill_the_queue(cast, job, monkeypatch) -> None:
    monkeypatch.setattr(services, "MOST_WAITING", 1)
    assert send(cast.owner, job, picture()).status_code == 302
    assert "of your pictures are still waiting" in send(cast.owner, job, picture()).content.decode()


def test_the_page_says_that_no_worker_is_running(cast: SimpleNamespace, job: TrainingJob) -> None:
    made, owner = inference_create(cast.owner, job, picture(), "a.png"), signed_in(cast.owner)

    def said() -> str:
        return owner.get(f"/inferences/{made.pk}/", headers={"HX-Request": "true"}).content.decode()

    assert "No worker is running" in said() and 'hx-trigger="every 1s"' in said()
    here = worker_present("tries pictures", ["inference"])
    assert "No worker is running" not in said() and not workers_seen()  # it has no slots, and takes no jobs
    Worker.objects.update(seen_at=timezone.now() - timedelta(hours=1))
    assert "No worker is running" in said()
    Worker.objects.update(seen_at=timezone.now(), queues="gpu")
    assert "No worker is running" in said() and here.pk
    other = inference_create(cast.owner, job, picture(), "b.png")
    lease = {"state": InferenceState.WORKING, "lease_until": timezone.now() + timedelta(minutes=1)}
    InferenceJob.objects.filter(pk=other.pk).update(**lease)
    assert "No worker is running" not in said()


def test_it_is_claimed_once_and_ended_once(cast: SimpleNamespace, job: TrainingJob) -> None:
    first, second = (inference_create(cast.owner, job, picture(), name) for name in ("a.png", "b.png"))
    taken = [inference_claim(), inference_claim(), inference_claim()]
    assert [one and one.pk for one in taken] == [first.pk, second.pk, None]
    assert inference_end(first, result_read(RESULT)) and not inference_end(first, None, "too late")
    inference_hand_back(first)
    inference_hand_back(second)
    assert list(InferenceJob.objects.order_by("pk").values_list("state", flat=True)) == ["completed", "waiting"]


def test_the_result_is_drawn_with_a_slider(cast: SimpleNamespace, job: TrainingJob) -> None:
    made = inference_create(cast.owner, job, picture(100, 50), "a.png")
    inference_claim()
    faint = OBJECT | {"score": 0.1, "class": 0}
    inference_end(made, result_read(RESULT | {"objects": [faint, OBJECT], "classes": ["<i>cat</i>", "dog"]}))
    page = signed_in(cast.owner).get(f"/inferences/{made.pk}/").content.decode()
    assert 'points="10.0,5.0 50.0,5.0 50.0,30.0 10.0,30.0"' in page
    assert 'class="k1" data-score="0.8000"' in page and 'class="k0 under" data-score="0.1000"' in page
    assert "data-threshold" in page and "<i>cat</i>" not in page


@pytest.mark.parametrize(
    "raw",
    [
        None,
        [],
        {"task": "juggle"},
        RESULT | {"objects": None},
        RESULT | {"classes": []},
        RESULT | {"milliseconds": float("nan")},
        RESULT | {"objects": [7]},
        RESULT | {"objects": [OBJECT | {"class": True and 9}]},
        RESULT | {"objects": [OBJECT | {"score": "0.5"}]},
        RESULT | {"objects": [OBJECT | {"outline": [[0.1, float("inf")]]}]},
        RESULT | {"objects": [OBJECT | {"outline": [[0.1]]}]},
        RESULT | {"objects": [OBJECT | {"points": [[0.1, 0.2]]}]},
    ],
)
def test_a_result_of_another_form_is_refused(raw: Any) -> None:
    with pytest.raises(BadResult):
        result_read(raw)


def test_places_far_outside_and_names_that_act_are_made_harmless() -> None:
    far = OBJECT | {"outline": [[-1e9, 2e9]], "class": 0}
    (seen,) = result_read(RESULT | {"objects": [far], "classes": ["a\x1b[2J\u202eb"]})["objects"]
    assert seen["outline"] == [[-0.5, 1.5]] and "\x1b" not in seen["name"] and "\u202e" not in seen["name"]


def test_the_sweep_ends_what_was_lost_and_removes_old_pictures(cast, job) -> None:
    lost, old = (inference_create(cast.owner, job, picture(), name) for name in ("a.png", "b.png"))
    inference_claim()
    InferenceJob.objects.filter(pk=lost.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
    InferenceJob.objects.filter(pk=old.pk).update(created_at=timezone.now() - timedelta(days=3))
    inferences_sweep()
    lost.refresh_from_db()
    old.refresh_from_db()
    assert (lost.state, "has gone" in lost.error) == (InferenceState.FAILED, True)
    assert (old.state, old.picture_key) == (InferenceState.FAILED, "")
    assert internal_store().stat(lost.picture_key) is not None
    assert signed_in(cast.owner).get(f"/inferences/{old.pk}/picture/").status_code == 404
    assert "kept no longer" in signed_in(cast.owner).get(f"/inferences/{old.pk}/").content.decode()


def run_it(inference: InferenceJob, stopping: threading.Event | None = None) -> InferenceJob:
    claimed = inference_claim()
    assert claimed is not None and claimed.pk == inference.pk
    run.inference_run(claimed, stopping or threading.Event())
    inference.refresh_from_db()
    return inference


def trainer_that(tmp_path: Path, settings: Any, code: str) -> None:
    """A trainer whose `predict` is this code, in place of the real one."""
    folder = tmp_path / "made" / "trainers" / "ultralytics"
    folder.mkdir(parents=True)
    manifest = (Path(settings.TRAINERS_DIR) / "ultralytics" / "trainer.toml").read_text()
    text = manifest.replace("trainers.ultralytics.predict", "made_predict")
    (folder / "trainer.toml").write_text(text)
    (folder.parent.parent / "made_predict.py").write_text(code)
    settings.TRAINERS_DIR = folder.parent


WRITES = "import sys, os, json; out = sys.argv[sys.argv.index('--result') + 1]\n"


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import sys; print('no such layer', file=sys.stderr); sys.exit(3)", "ended without a result (exit code 3)"),
        ("import os; os.kill(os.getpid(), 11)", "ended without a result (SIGSEGV)"),
        (WRITES + "open(out, 'w').write('{')", "ended without a result"),
        (WRITES + "open(out, 'w').write('7')", "wrote no result"),
        (WRITES + "open(out, 'w').write('{\"error\": \"no such layer\"}')", "no such layer"),
        ("import time; time.sleep(600)", "took longer than 1 s"),
    ],
)
def test_a_process_that_fails_is_told_in_plain_words(cast, job, tmp_path, settings, code, message) -> None:
    trainer_that(tmp_path, settings, code)
    if "sleep" in code:
        settings.INFERENCE_SECONDS = 1
    done = run_it(inference_create(cast.owner, job, picture(), "a.png"))
    assert done.state == InferenceState.FAILED and message in done.error, done.error
    assert list((Path(settings.WORK_DIR) / "inference").iterdir()) == []
    assert "failed" in signed_in(cast.owner).get(f"/inferences/{done.pk}/").content.decode().lower()


def test_the_process_knows_no_secret(cast, job, tmp_path, settings, monkeypatch) -> None:
    for name in ("DJANGO_SECRET_KEY", "DATABASE_URL", "WANDB_API_KEY", "INTERNAL_STORAGE_URL"):
        monkeypatch.setenv(name, "top-secret")
    said = "json.dump({'error': json.dumps(dict(os.environ))}, open(out, 'w'))"
    trainer_that(tmp_path, settings, WRITES + said)
    done = run_it(inference_create(cast.owner, job, picture(), "a.png"))
    known = set(json.loads(done.error))
    assert "top-secret" not in done.error and not any("TOKEN" in name or "KEY" in name for name in known)


def test_a_worker_that_stops_hands_it_back(cast, job, tmp_path, settings) -> None:
    trainer_that(tmp_path, settings, "import time; time.sleep(600)")
    stopping = threading.Event()
    stopping.set()
    assert run_it(inference_create(cast.owner, job, picture(), "a.png"), stopping).state == InferenceState.WAITING


def test_a_checkpoint_that_is_not_the_one_that_was_trained_is_not_opened(cast, job) -> None:
    internal_store().put(job.checkpoints.get().key, b"PK\x03\x04 another")
    done = run_it(inference_create(cast.owner, job, picture(), "a.png"))
    assert done.state == InferenceState.FAILED and "its SHA-256 differs" in done.error


MAKE = """
import sys
from pathlib import Path
from trainers.ultralytics.offline import keep_offline
keep_offline(Path(sys.argv[1]))
from ultralytics import YOLO
for name in sys.argv[2:]:
    YOLO(name).save(str(Path(sys.argv[1]) / name.replace(".yaml", ".pt")))
"""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real weights, untrained: made in a process of their own, as the library must not be loaded in this one."""
    folder = tmp_path_factory.mktemp("models")
    names = [f"yolo11n{ending}.yaml" for ending in ("", "-seg", "-cls", "-pose", "-obb")]
    subprocess.run([sys.executable, "-c", MAKE, str(folder), *names], check=True, capture_output=True, timeout=110)
    return folder


@pytest.mark.parametrize(("ending", "task"), [("-cls", "classify"), ("-seg", "segment")])
def test_a_real_model_sees_a_picture(cast, settings, models, ending, task) -> None:
    job = job_make(cast, JobState.COMPLETED, config={"imgsz": 64})
    checkpoint_make(job, (models / f"yolo11n{ending}.pt").read_bytes())
    done = run_it(inference_create(cast.owner, job, picture(90, 60), "a.png"))
    assert done.state == InferenceState.COMPLETED, done.error
    assert done.result["task"] == task and (done.result.get("scores") or done.result["objects"] == [])
    told = signed_in(cast.owner).get(f"/api/v1/training/inference/{done.pk}").json()
    assert (told["state"], told["result"]["task"]) == ("completed", task)


@pytest.mark.parametrize("ending", ["", "-seg", "-pose", "-obb"])
def test_every_task_gives_what_can_be_drawn(models: Path, tmp_path: Path, ending: str) -> None:
    """An untrained model is sure of nothing, so everything is asked for."""
    Image.effect_noise((90, 60), 90).convert("RGB").save(tmp_path / "a.png")
    shutil.copy(models / f"yolo11n{ending}.pt", tmp_path / "weights.pt")
    files = {name: str(tmp_path / file) for name, file in FILES.items()}
    options = [word for name, file in files.items() for word in (f"--{name}", file)]
    command = [sys.executable, "-m", "trainers.ultralytics.predict", *options, "--imgsz", "64", "--least", "0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, env={"OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    seen = result_read(json.loads((tmp_path / "result.json").read_text()))["objects"]
    assert seen and all(len(one["outline"]) >= 3 for one in seen)
    assert ending != "-pose" or len(seen[0]["points"]) == 17


FILES = {"weights": "weights.pt", "picture": "a.png", "result": "result.json"}


def test_a_large_picture_is_scaled_down() -> None:
    assert picture_clean(picture(6000, 600)).width == 4096
