"""The machine's load while a job runs: CPU, memory, disk and GPUs, with a container's limits respected."""

import shutil
from collections.abc import Iterable
from pathlib import Path

import psutil

GIB = 1024**3
CGROUP = Path("/sys/fs/cgroup")


class SystemSampler:
    """Samples what one trainer's process tree and its machine use. Percentages are of what the job may use."""

    def __init__(self, process_id: int, folder: Path) -> None:
        self._root = process_id
        self._folder = folder
        self._processes: dict[int, psutil.Process] = {}
        self._cpus = cpu_limit()
        psutil.cpu_percent()  # the first call starts the measure

    def sample(self) -> dict[str, float]:
        """Values by metric name; GPU figures only where there is a GPU."""
        memory_used, memory_total = memory_use()
        disk = shutil.disk_usage(self._folder)
        processes = list(self._tree())
        return {
            "system/cpu.utilization": psutil.cpu_percent(),
            "system/disk.percent": 100 * disk.used / disk.total,
            "system/memory.percent": 100 * memory_used / memory_total,
            "system/memory.used_gib": memory_used / GIB,
            "system/trainer.cpu": sum(map(_cpu, processes)) / self._cpus,
            "system/trainer.memory_gib": sum(map(_memory, processes)) / GIB,
            **gpu_sample(),
        }

    def _tree(self) -> Iterable[psutil.Process]:
        try:
            found = psutil.Process(self._root).children(recursive=True)
        except psutil.Error:  # it has ended
            found = []
        # the same objects again, because each measures since its own last call
        self._processes = {process.pid: self._processes.get(process.pid, process) for process in found}
        return self._processes.values()


def _cpu(process: psutil.Process) -> float:
    try:
        return process.cpu_percent()
    except psutil.Error:
        return 0.0


def _memory(process: psutil.Process) -> float:
    try:
        return process.memory_info().rss
    except psutil.Error:
        return 0.0


def _limit(name: str) -> int | None:
    try:
        text = (CGROUP / name).read_text().split()[0]
    except (OSError, IndexError):
        return None
    return int(text) if text.isdigit() else None


def memory_use() -> tuple[float, float]:
    """(used, total) bytes: the container's where it has a limit, else the machine's."""
    machine = psutil.virtual_memory()
    limit, used = _limit("memory.max"), _limit("memory.current")
    if limit and used is not None and limit < machine.total:
        return used, limit
    return machine.total - machine.available, machine.total


def cpu_limit() -> float:
    """How many CPUs may be used: the container's quota, or the machine's count."""
    count = psutil.cpu_count() or 1
    try:
        quota, period = (CGROUP / "cpu.max").read_text().split()
    except (OSError, ValueError):
        return count
    return min(count, int(quota) / int(period)) if quota.isdigit() else count


def gpus() -> list[str]:
    """The names of the NVIDIA GPUs of this machine, in the order of their numbers."""
    import pynvml

    try:
        pynvml.nvmlInit()
        count = pynvml.nvmlDeviceGetCount()
        return [str(pynvml.nvmlDeviceGetName(pynvml.nvmlDeviceGetHandleByIndex(n))) for n in range(count)]
    except pynvml.NVMLError:  # no driver, no GPU
        return []


def gpu_memory() -> dict[int, tuple[int, int]]:
    """(free, total) bytes of each GPU's own memory, by its number."""
    import pynvml

    try:
        pynvml.nvmlInit()
        found = {}
        for number in range(pynvml.nvmlDeviceGetCount()):
            memory = pynvml.nvmlDeviceGetMemoryInfo(pynvml.nvmlDeviceGetHandleByIndex(number))
            found[number] = int(memory.free), int(memory.total)
        return found
    except pynvml.NVMLError:  # no driver, no GPU, or one that does not tell
        return {}


def gpu_sample() -> dict[str, float]:
    """Load, memory, temperature and power of each GPU; a figure that a GPU does not tell is left out."""
    import pynvml

    try:
        pynvml.nvmlInit()
        handles = [pynvml.nvmlDeviceGetHandleByIndex(n) for n in range(pynvml.nvmlDeviceGetCount())]
    except pynvml.NVMLError:
        return {}
    readings = {
        "utilization": lambda gpu: pynvml.nvmlDeviceGetUtilizationRates(gpu).gpu,
        "memory_gib": lambda gpu: pynvml.nvmlDeviceGetMemoryInfo(gpu).used / GIB,
        "temperature": lambda gpu: pynvml.nvmlDeviceGetTemperature(gpu, pynvml.NVML_TEMPERATURE_GPU),
        "power_watts": lambda gpu: pynvml.nvmlDeviceGetPowerUsage(gpu) / 1000,
    }
    values = {}
    for number, handle in enumerate(handles):
        for name, read in readings.items():
            try:
                values[f"system/gpu.{number}.{name}"] = float(read(handle))
            except pynvml.NVMLError:
                continue
    return values
