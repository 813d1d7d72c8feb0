"""What fault tests break: a proxy between trainer and platform, and a Redis server of their own."""

import socket
import socketserver
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import redis

from platform_site.tests.test_server import free_port


class Proxy:
    """Passes bytes to the platform; may refuse whoever comes, or drop answers that the platform has given."""

    def __init__(self, target: int) -> None:
        self.refuses = False
        self.drops = 0  # so many answers to reports are still to be dropped
        self.dropped = 0
        self.refused = 0
        self._mutex = threading.Lock()
        self._target = target
        proxy = self

        class Door(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                proxy.serve(self.request)

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Door)
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def serve(self, client: socket.socket) -> None:
        """Both directions of one connection, until either side ends it."""
        if self.refuses:
            self.refused += 1
            return
        try:
            with socket.create_connection(("127.0.0.1", self._target), 10) as platform:
                platform.settimeout(None)
                asked: list[bytes] = []
                threading.Thread(target=self._up, args=(client, platform, asked), daemon=True).start()
                while data := platform.recv(65536):
                    if self.refuses or self._to_drop(asked):
                        break
                    client.sendall(data)
        except OSError:  # one of them is gone, and the other hears of it
            return
        finally:
            _end(client)

    def _up(self, client: socket.socket, platform: socket.socket, asked: list[bytes]) -> None:
        try:
            while data := client.recv(65536):
                asked[:] = [data[:200]] if data.startswith((b"POST", b"GET", b"PUT")) else asked
                platform.sendall(data)
        except OSError:
            return
        finally:
            _end(platform)

    def _to_drop(self, asked: list[bytes]) -> bool:
        with self._mutex:
            if self.drops and asked and b"/progress" in asked[0]:
                self.drops -= 1
                self.dropped += 1
                return True
        return False

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _end(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:  # it is closed already
        return


class Redis:
    """A Redis server of one's own, that may be killed; it keeps nothing."""

    def __init__(self, folder: Path) -> None:
        self._folder, self.port = folder, free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.begin()

    def begin(self) -> None:
        command = ["redis-server", "--bind", "127.0.0.1", "--port", str(self.port), "--save", "", "--appendonly", "no"]
        command += ["--dir", str(self._folder)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        client: Any = redis.Redis(port=self.port)
        deadline = time.monotonic() + 30
        while True:
            try:
                client.ping()
                break
            except redis.ConnectionError:
                assert time.monotonic() < deadline, "Redis does not start"
                time.sleep(0.05)
        client.close()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(10)

    def end(self) -> None:
        self._process.terminate()
        self._process.wait(10)
