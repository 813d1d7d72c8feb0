"""A PostgreSQL server of a test's own, to be killed and started again: the other tests' server is left alone."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg

PLACES = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
SECONDS = 60.0


def program(name: str) -> str:
    """The path of one of PostgreSQL's programs. Raises FileNotFoundError."""
    found = shutil.which(name, path=os.pathsep.join([*map(str, PLACES), os.environ["PATH"]]))
    if found is None:
        raise FileNotFoundError(f"{name}: install the package postgresql")
    return found


class OwnServer:
    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="postgresql-"))
        self.user = "postgres" if os.getuid() == 0 else None  # it refuses to run as root
        if self.user:
            os.chown(self.folder, pwd.getpwnam(self.user).pw_uid, pwd.getpwnam(self.user).pw_gid)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.url = f"postgres://postgres@127.0.0.1:{self.port}/postgres"
        command = [program("initdb"), "-D", str(self.folder / "data"), "-U", "postgres", "--auth=trust"]
        subprocess.run(command, check=True, user=self.user, stdout=subprocess.DEVNULL, cwd=self.folder, timeout=SECONDS)
        self.begin()

    def begin(self) -> None:
        """Start it, and wait until it answers: after a crash it first replays its log."""
        places = {"listen_addresses": "127.0.0.1", "unix_socket_directories": str(self.folder), "port": str(self.port)}
        command = [program("postgres"), "-D", str(self.folder / "data")]
        command += [word for name, value in places.items() for word in ("-c", f"{name}={value}")]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, user=self.user, stdout=log, stderr=log, cwd=self.folder)
        deadline = time.monotonic() + SECONDS
        while True:
            try:
                psycopg.connect(self.url, connect_timeout=5).close()
                return
            except psycopg.OperationalError:
                assert self.process.poll() is None and time.monotonic() < deadline, (self.folder / "log").read_text()
                time.sleep(0.1)

    def crash(self) -> None:
        """`kill -9`: its backends end by themselves, and what was not committed is gone."""
        self.process.kill()
        self.process.wait(SECONDS)
        lock = self.folder / "data" / "postmaster.pid"
        deadline = time.monotonic() + SECONDS
        while _listens(self.port):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        lock.unlink(missing_ok=True)

    def end(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(SECONDS)
        shutil.rmtree(self.folder, ignore_errors=True)


def _listens(port: int) -> bool:
    with socket.socket() as asking:
        asking.settimeout(1)
        return asking.connect_ex(("127.0.0.1", port)) == 0
