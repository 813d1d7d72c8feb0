"""How a trainer's process ended, in words: its exit code or signal, and what speaks for memory having run out."""

import signal
from dataclasses import dataclass

from training.execution.executor import Exit
from training.execution.subprocess import signal_name
from training.jobs.attempts import Ending
from training.jobs.failures import Cause
from training.models import ErrorType

FULL_SHARE = 0.9  # of the memory there is: who is killed beyond it was probably killed for it
LAST_LINES = 15


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was seen of the machine while the trainer ran; memory in GiB."""

    oom_kills: int = 0
    memory_share: float = 0.0
    memory_gib: float = 0.0

    @property
    def of_memory(self) -> str:
        """Why one must think that memory ran out; empty if nothing says so."""
        if self.oom_kills:
            return f"the system counted {self.oom_kills} process(es) that it ended for lack of memory meanwhile"
        if self.memory_share >= FULL_SHARE:
            percent = f"{100 * self.memory_share:.0f} %"
            return f"{percent} of the memory was in use, {self.memory_gib:.1f} GiB of it by the trainer"
        return ""


def ending_of(ended: Exit, tail: list[str], evidence: Evidence) -> Ending:
    """An end about which the trainer itself has said nothing."""
    if ended.code == 0:
        message = "The trainer ended without saying so (exit code 0)."
        return Ending(ErrorType.FRAMEWORK_ERROR, message, 0, Cause.SILENT_END)
    number = _signal(ended)
    if number == signal.SIGKILL and evidence.of_memory:
        message = f"The system ended the trainer (SIGKILL) because memory ran out: {evidence.of_memory}."
        return Ending(ErrorType.RESOURCE_ERROR, message, ended.code, Cause.HOST_MEMORY)
    if number == signal.SIGXFSZ:
        message = "The trainer was ended by SIGXFSZ: a file grew beyond the size that is allowed."
        return Ending(ErrorType.RESOURCE_ERROR, message, ended.code, Cause.DISK_FULL)
    last = "\n".join(tail[-LAST_LINES:])
    signalled, exited = (
        f"The trainer was ended by {signal_name(number)}.",
        f"The trainer ended with exit code {ended.code}.",
    )
    message = (signalled if number else exited) + (f"\n\n{last}" if last else "")
    kind = ErrorType.UNKNOWN_ERROR if number else ErrorType.FRAMEWORK_ERROR
    return Ending(kind, message, ended.code, Cause.SIGNAL if number else Cause.EXIT_CODE)


def _signal(ended: Exit) -> int:
    """The signal that ended it, 0 for none; a shell in between says 128 more."""
    if ended.signal is not None:
        return ended.signal
    return signal.SIGKILL if ended.code == 128 + signal.SIGKILL else 0
