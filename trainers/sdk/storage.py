"""Files between the trainer and the platform's stores, always over addresses signed for this attempt."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from trainers.sdk.artifacts import Artifacts
from trainers.sdk.environment import StartingPoint
from trainers.sdk.errors import StorageError
from trainers.sdk.session import Session
from trainers.sdk.signed import SignedFiles
from trainers.sdk.uploads import Checkpoint, sha256_of


class Storage(Session):
    """Uploads of checkpoints in the background; everything else waits for its answer and raises."""

    def upload_checkpoint(
        self,
        path: str | Path,
        kind: str = "last",
        *,
        name: str | None = None,
        epoch: int | None = None,
        step: int | None = None,
        metrics: Mapping[str, Any] | None = None,
    ) -> None:
        """Copy a checkpoint now and upload it in the background; `best`, `last` or `epoch`.

        The file may change after the return. Never raises: what could not be stored is a warning in the job's log,
        and the checkpoint stored before it stays. The ends of the job wait for the last upload.
        """
        try:
            self._uploads.submit(Path(path), kind, name or Path(path).name, epoch, step, metrics or {})
        except Exception as error:
            self.warn(f"checkpoint {path} could not be copied for its upload: {error}")

    def wait_for_uploads(self, seconds: float) -> bool:
        """Wait until every checkpoint handed in is stored or given up; whether that is so within `seconds`."""
        return self._uploads.wait(seconds)

    def upload_file(self, path: str | Path, kind: str = "epoch", name: str | None = None) -> str:
        """Upload a file, wait for it, and return its key. Raises StorageError, NetworkError, OSError."""
        return self._uploads.upload(Checkpoint(Path(path), kind, name or Path(path).name))

    def upload_artifact(
        self, path: str | Path, kind: str, *, name: str | None = None, epoch: int | None = None
    ) -> bool:
        """Store a picture or a table for the job's page (png, jpg, webp, json, csv); whether the platform took it.

        Waits for the answer, and never raises: what could not be stored is a warning in the job's log.
        """
        try:
            self._artifacts.store(Path(path), kind, name or Path(path).name, epoch)
        except Exception as error:
            self.warn(f"the artifact {Path(path).name} was not stored: {error}")
            return False
        return True

    def download_checkpoint(self, name: str, folder: str | Path | None = None) -> Path:
        """Fetch a file that the platform names in `urls`, such as `checkpoint/last.pt`, into WORK_DIR by default.

        Raises StorageError where the platform has no such file.
        """
        target = Path(folder or self.environment.work_dir) / Path(name).name
        target.parent.mkdir(parents=True, exist_ok=True)
        files = SignedFiles()
        try:
            files.get(lambda: self._signed_get([name])[name], target, None, None)
        finally:
            files.close()
        return target

    def resume_checkpoint(self) -> Path | None:
        """The checkpoint to go on from, fetched and verified; None where training begins anew.

        Raises StorageError: to begin anew in silence would replace what was reached. Its epoch and step are in
        `environment.resume`.
        """
        return self._start_get(self.environment.resume)

    def starting_weights(self) -> Path | None:
        """The weights to start from, of another job or kept ones, fetched and verified; None where there are none.

        Raises StorageError, NetworkError.
        """
        return self._start_get(self.environment.weights)

    def _start_get(self, start: StartingPoint | None) -> Path | None:
        if start is None:
            return None
        path = self.download_checkpoint(start.name, self.environment.work_dir / "start")
        if start.sha256 and sha256_of(path) != start.sha256:
            raise StorageError(f"{start.name} arrived with another SHA-256 than the platform has")
        return path

    @cached_property
    def _artifacts(self) -> Artifacts:
        return Artifacts(self._connection)

    def _signed_get(self, names: list[str]) -> dict[str, str]:
        """An address for each name, at most 1,000. Raises StorageError, NetworkError."""
        answer = self._connection.ask("urls", {"get": names}, seconds=600.0)
        given = answer.data.get("get") or {}
        missing = [name for name in names if name not in given]
        if answer.status != 200 or missing:
            raise StorageError(
                f"the platform gave no address for {', '.join(missing[:3]) or names[0]}: {answer.reason}"
            )
        return given
