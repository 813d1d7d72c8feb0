"""TensorBoard: a folder of event files; each folder that holds some is a run."""

import os
import shutil
import tempfile
from argparse import ArgumentParser
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from observability.imports.base import COMPLETED, FAILED, NothingToImport, Reading, RunFacts, Source, SourceError

FILES = "*tfevents*"
UNTOLD = "TensorBoard does not tell how it ended"
AROUND = 16  # bytes of a record beside its data: length 8, its checksum 4, the data's checksum 4


class TensorBoard(Source):
    """Read by TensorBoard's own reader, file after file; values are the 32-bit floats that the files hold."""

    name = "tensorboard"
    label = "TensorBoard"

    @staticmethod
    def arguments(parser: ArgumentParser) -> None:
        parser.add_argument(
            "folder", type=Path, help="a run's folder, or one that holds many, such as TensorBoard's --logdir"
        )

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._root = Path(options["folder"]).expanduser().resolve()
        if not self._root.is_dir():
            raise SourceError(f"{self._root} is not a folder.")
        try:
            from tensorboard.backend.event_processing import event_file_loader
            from tensorboard.compat.proto import event_pb2
        except ImportError as error:
            raise SourceError(f"TensorBoard is not installed here: {error}") from error
        self._loader, self._event = event_file_loader.RawEventFileLoader, event_pb2.Event

    def runs(self) -> list[str]:
        return sorted({str(path.parent) for path in self._root.rglob(FILES) if path.is_file()})

    def experiment_id(self, run: str) -> str:
        """As the adapter calls it: the path below TENSORBOARD_LOG_DIR."""
        ours = os.environ.get("TENSORBOARD_LOG_DIR")
        root = Path(ours).resolve() if ours else None
        return str(Path(run).relative_to(root)) if root and Path(run).is_relative_to(root) else run

    def read(self, run: str, reading: Reading) -> RunFacts:
        folder = Path(run)
        session = _Session()
        found = 0
        for path in sorted(path for path in folder.glob(FILES) if path.is_file()):
            plugins: dict[str, str] = {}
            for event in self._events(path, reading):
                for value in event.summary.value:
                    found += _value_read(event, value, plugins, session, reading)
        if not found and not session.settings:
            raise NothingToImport("holds no scalars")
        inside = folder.relative_to(self._root)
        return RunFacts(
            name=str(inside) if inside.parts else folder.name,
            project=self._root.name,
            status=session.status,
            reason=session.reason,
            address=run,
            started=session.started,
            ended=session.ended,
            config=session.settings,
        )

    def _events(self, path: Path, reading: Reading) -> Iterator[Any]:
        from google.protobuf.message import DecodeError

        for record in self._records(path, reading):
            try:
                yield self._event.FromString(record)
            except DecodeError as error:
                reading.trouble(f"{path.name}: a record that is no event was left out ({error})")

    def _records(self, path: Path, reading: Reading) -> Iterator[bytes]:
        """Every whole record. TensorBoard's reader stops at a damaged one; from the next on it is asked again."""
        size, offset = path.stat().st_size, 0
        with tempfile.TemporaryDirectory() as scratch:
            part = path
            while offset < size:
                for record in self._loader(str(part)).Load():
                    yield record
                    offset += len(record) + AROUND
                if offset >= size:
                    return
                length = _damaged_length(path, offset)
                rest = size - offset - length
                if not length or rest <= 0:
                    reading.trouble(f"{path.name}: the last {size - offset} bytes are damaged or half-written")
                    return
                reading.trouble(f"{path.name}: the record at byte {offset} is damaged and was left out")
                offset += length
                part = _tail(path, offset, Path(scratch) / "rest")


class _Session:
    """What the hyperparameters' plugin tells of a run."""

    def __init__(self) -> None:
        self.settings: dict[str, Any] = {}
        self.started: float | None = None
        self.ended: float | None = None
        self.status, self.reason = COMPLETED, UNTOLD

    def begin(self, content: bytes) -> None:
        from tensorboard.plugins.hparams import metadata

        start = metadata.parse_session_start_info_plugin_data(content)
        for name, value in start.hparams.items():
            kind = value.WhichOneof("kind")
            self.settings[name] = getattr(value, kind) if kind in KINDS else str(value)
        self.started = start.start_time_secs or self.started

    def end(self, content: bytes) -> None:
        from tensorboard.plugins.hparams import api_pb2, metadata

        told = metadata.parse_session_end_info_plugin_data(content)
        self.ended = told.end_time_secs or self.ended
        if told.status == api_pb2.Status.Value("STATUS_FAILURE"):
            self.status, self.reason = FAILED, "failed in TensorBoard"
        elif told.status == api_pb2.Status.Value("STATUS_SUCCESS"):
            self.status, self.reason = COMPLETED, "completed in TensorBoard"


KINDS = ("bool_value", "number_value", "string_value")


def _value_read(event: Any, value: Any, plugins: dict[str, str], session: _Session, reading: Reading) -> int:
    """Take one value of an event; 1 if it was a scalar. A tag tells its plugin only where it first appears."""
    plugin = plugins.setdefault(value.tag, value.metadata.plugin_data.plugin_name)
    if value.HasField("simple_value"):
        reading.point(value.tag, event.step, event.wall_time, value.simple_value)
        return 1
    if plugin == "scalars" and value.HasField("tensor"):
        return _tensor_read(event, value, reading)
    if plugin == "hparams":
        _settings_read(value, session, reading)
    return 0


def _tensor_read(event: Any, value: Any, reading: Reading) -> int:
    from tensorboard.util import tensor_util

    try:
        number = float(tensor_util.make_ndarray(value.tensor).item())
    except (ValueError, TypeError) as error:
        reading.trouble(f"{value.tag[:80]}, step {event.step}: no scalar ({error}); it was left out")
        return 0
    reading.point(value.tag, event.step, event.wall_time, number)
    return 1


def _settings_read(value: Any, session: _Session, reading: Reading) -> None:
    from google.protobuf.message import DecodeError
    from tensorboard.plugins.hparams import error as hparams_error
    from tensorboard.plugins.hparams import metadata

    try:
        if value.tag == metadata.SESSION_START_INFO_TAG:
            session.begin(value.metadata.plugin_data.content)
        elif value.tag == metadata.SESSION_END_INFO_TAG:
            session.end(value.metadata.plugin_data.content)
    except (DecodeError, hparams_error.HParamsError) as error:
        reading.trouble(f"the run's hyperparameters can't be read: {error}")


def _damaged_length(path: Path, offset: int) -> int:
    """How long the damaged record at `offset` is; 0 where its length can't be believed either."""
    from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c

    with path.open("rb") as file:
        file.seek(offset)
        head = file.read(12)
    if len(head) < 12 or masked_crc32c(head[:8]) != int.from_bytes(head[8:], "little"):
        return 0
    return int.from_bytes(head[:8], "little") + AROUND


def _tail(path: Path, offset: int, target: Path) -> Path:
    with path.open("rb") as source, target.open("wb") as rest:
        source.seek(offset)
        shutil.copyfileobj(source, rest)
    return target
