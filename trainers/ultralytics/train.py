"""The Ultralytics trainer, which the platform starts as `python -m trainers.ultralytics.train`."""

from __future__ import annotations

import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from trainers.sdk import SettingError, StorageError, TrainerSDK
from trainers.sdk.schema import read_manifest
from trainers.ultralytics.arguments import known_model, library_task, resume_arguments, training_arguments
from trainers.ultralytics.offline import keep_offline, want_no_font
from trainers.ultralytics.pictures import FinalPictures
from trainers.ultralytics.reports import Reports, StopTraining

DONE, FAILED, TERMINATED = 0, 1, 143
SECONDS_TO_SAVE = 20.0


def main() -> int:
    """Train one job; the exit code: 0 completed or cancelled, 1 failed, 143 ended by a signal."""
    with TrainerSDK() as sdk:
        signal.signal(signal.SIGTERM, lambda *_: sdk.terminate())
        manifest = read_manifest(Path(__file__).parent)
        reports = Reports(sdk, primary_metric(manifest, sdk.task_type), FinalPictures())
        try:
            train(sdk, reports, manifest["settings"])
        except StopTraining:
            return stopped(sdk, reports)
        except Exception as error:
            sdk.log_error(f"{type(error).__name__}: {error}")
            sdk.report_failed(error)
            return FAILED
        reports.pictures.upload(sdk, reports.best_epoch)
        reports.upload("best", reports.final_metrics)
        reports.upload("last", reports.final_metrics)
        sdk.report_completed(reports.final_metrics, best_epoch=reports.best_epoch, best_value=reports.best_value)
        return DONE


def train(sdk: TrainerSDK, reports: Reports, schema: list[dict[str, Any]]) -> None:
    """Fetch the data while the library is imported, and train. Raises StopTraining when asked to stop."""
    settings, hub = sdk.get_full_config(schema), sdk.environment.allow_hub_downloads
    task = library_task(sdk.task_type)
    name = "" if starts_from_a_file(sdk) else known_model(sdk.model_name, hub)
    reports.pictures.wanted = settings["plots"]
    sdk.report_started(settings["epochs"])
    keep_offline(sdk.environment.work_dir, hub)
    with ThreadPoolExecutor(1) as beside:
        dataset = beside.submit(sdk.download_dataset)
        from ultralytics import YOLO

        want_no_font()
        by_folder = task == "classify"
        folder = dataset.result()
        data = str(sdk.create_class_folders(folder) if by_folder else sdk.create_data_yaml(folder))
    resumed, weights = sdk.resume_checkpoint(), sdk.starting_weights()
    if sdk.should_stop:
        raise StopTraining(sdk.stop_reason)
    name = str(resumed or weights or name)
    model = begun(YOLO, name, task)
    if resumed and (model.ckpt.get("epoch", -1) < 0 or model.ckpt.get("optimizer") is None):
        raise StorageError("the checkpoint holds no optimiser state, so training can't go on from it")
    reports.listen(model)
    arguments = training_arguments(settings, data, sdk.environment.work_dir, weights=name.endswith(".pt"))
    model.train(**(resume_arguments(arguments) if resumed else arguments))


def starts_from_a_file(sdk: TrainerSDK) -> bool:
    """Whether the model comes out of a file that the platform hands over, so that its name is for people only."""
    return bool(sdk.environment.resume or sdk.environment.weights)


def begun(library: Any, name: str, task: str) -> Any:
    """The model to train. Raises SettingError where a weights file is not for the task, or is none at all."""
    try:
        model = library(name, task=task)
    except Exception as error:
        if not name.endswith(".pt"):
            raise
        raise SettingError(f"{Path(name).name} can't be read as weights: {type(error).__name__}: {error}") from error
    if model.task != task:
        raise SettingError(f"{Path(name).name} is for the task {model.task}, and this job is for {task}")
    return model


def primary_metric(manifest: dict[str, Any], task: str) -> str:
    """The metric that tells which epoch was the best."""
    metrics = manifest["metrics"]
    return str(metrics.get(task, {}).get("primary", metrics["primary"]))


def stopped(sdk: TrainerSDK, reports: Reports) -> int:
    """Save the last checkpoint; a cancel is then acknowledged, anything else is for the platform to judge."""
    reports.upload("last")
    sdk.wait_for_uploads(SECONDS_TO_SAVE)
    if sdk.stop_reason == "cancel":
        sdk.report_cancelled()
        return DONE
    return TERMINATED if sdk.stop_reason == "terminated" else FAILED


if __name__ == "__main__":
    sys.exit(main())
