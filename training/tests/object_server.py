"""A real S3 server on loopback for the tests: Ceph's gateway over one monitor and one disk, ended with the tests."""

import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import httpx
from django.conf import settings

PACKAGES = ("radosgw", "ceph-mon", "ceph-osd", "ceph-common")
ACCESS, SECRET = "a-test-access-key", "a-test-secret-key-of-some-length"
DISK_BYTES = 4 << 30  # a sparse file
START_SECONDS = 180.0  # a busy machine is slow; usually it takes a sixth of this

CONFIGURATION = """
[global]
fsid = {cluster}
mon_initial_members = a
mon_host = v1:127.0.0.1:{monitor}
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
keyring = {folder}/keyring
run_dir = {folder}
admin_socket = {folder}/$name.asok
log_file = {folder}/$name.log
mon_data_avail_warn = 2
mon_data_avail_crit = 1
mon_allow_pool_size_one = true
mon_warn_on_pool_no_redundancy = false
mon_max_pg_per_osd = 2000
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 1
osd_pool_default_pgp_num = 1
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
[mon.a]
mon_data = {folder}/monitor
[osd.0]
osd_data = {folder}/disk
osd_objectstore = bluestore
bluestore_block_size = {disk}
[client.rgw]
rgw_data = {folder}/gateway
rgw_frontends = beast endpoint=127.0.0.1:{gateway}
rgw_enable_usage_log = false
"""


class ObjectServer:
    """`url` and the keys, once `start` has returned. What it starts also ends when this process is killed."""

    access, secret = ACCESS, SECRET

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ports = _free_ports(2)
        self.url = f"http://127.0.0.1:{self.ports[1]}"
        self._running: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Install what is missing and start; some 30 seconds. Raises AssertionError with the reason."""
        subprocess.run([settings.BASE_DIR / "deploy" / "system-packages", *PACKAGES], check=True)
        for name in ("monitor", "disk", "gateway"):
            (self.folder / name).mkdir()
        cluster, disk = str(uuid4()), str(uuid4())
        text = CONFIGURATION.format(
            cluster=cluster, folder=self.folder, monitor=self.ports[0], gateway=self.ports[1], disk=DISK_BYTES
        )
        (self.folder / "ceph.conf").write_text(text)
        self._monitor(cluster)
        self._disk(disk)
        self._daemon("radosgw", "-n", "client.rgw")
        self._wait("the gateway", self._answers)
        user = ("user", "create", "--uid=tests", "--display-name=Tests", f"--access-key={ACCESS}", f"--secret={SECRET}")
        self._run("radosgw-admin", *self._of_ours(), *user)

    def stop(self) -> None:
        """End it all; the folder is the caller's."""
        for process in reversed(self._running):
            process.kill()  # nothing of it is needed any more
            process.wait()

    def _monitor(self, cluster: str) -> None:
        keyring, plan = str(self.folder / "keyring"), str(self.folder / "monmap")
        rights = ("--cap", "mon", "allow *", "--cap", "osd", "allow *", "--cap", "mgr", "allow *")
        self._run("ceph-authtool", "--create-keyring", keyring, "--gen-key", "-n", "mon.", "--cap", "mon", "allow *")
        self._run("ceph-authtool", keyring, "--gen-key", "-n", "client.admin", *rights)
        address = f"v1:127.0.0.1:{self.ports[0]}"
        self._run("monmaptool", "--create", "--add", "a", address, "--fsid", cluster, plan)
        self._run("ceph-mon", *self._of_ours(), "-i", "a", "--mkfs", "--monmap", plan, "--keyring", keyring)
        self._daemon("ceph-mon", "-i", "a")

    def _disk(self, disk: str) -> None:
        self._wait("the monitor", lambda: self._monitor_takes("osd", "new", disk))
        self._run("ceph-osd", *self._of_ours(), "-i", "0", "--mkfs", "--osd-uuid", disk)
        self._wait("the disk", self._disk_is_up)

    def _monitor_takes(self, *order: str) -> bool:
        """A monitor that has just begun refuses orders, on a busy machine for long; an order may be given twice."""
        return subprocess.run([*self._ceph(), *order], capture_output=True, timeout=START_SECONDS).returncode == 0

    def _disk_is_up(self) -> bool:
        """Start it, again where it ended: it gives up if it speaks before the monitor has told it of the cluster."""
        if len(self._running) > 1 and self._running[-1].poll() is not None:
            self._running.pop()
        if len(self._running) == 1:
            self._daemon("ceph-osd", "-i", "0")
        return "1 up" in self._run(*self._ceph(), "osd", "stat")

    def _of_ours(self) -> tuple[str, str]:
        return "-c", str(self.folder / "ceph.conf")

    def _ceph(self) -> tuple[str, ...]:
        """The system's Python runs it, whatever `python3` is in this environment."""
        return "/usr/bin/python3", "/usr/bin/ceph", *self._of_ours(), "--connect-timeout", "60"

    def _run(self, *command: str) -> str:
        done = subprocess.run(command, capture_output=True, text=True, timeout=START_SECONDS)
        assert done.returncode == 0, f"{' '.join(command)}: {done.stderr[-2000:]}"
        return done.stdout

    def _daemon(self, program: str, *options: str) -> None:
        command = ["setpriv", "--pdeathsig", "KILL", program, *self._of_ours(), "-f", *options]
        log = (self.folder / f"{program}.out").open("wb")
        self._running.append(subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL))

    def _wait(self, what: str, there: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not there():
            assert time.monotonic() < deadline, f"{what} did not start in time; see {self.folder}"
            time.sleep(0.3)

    def _answers(self) -> bool:
        try:
            return httpx.get(self.url).status_code == 200
        except httpx.HTTPError:
            return False


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()
