"""The platform and its store for a benchmark of downloads: a program that serves a folder, each answer after a delay.

`python -m training.benchmarks.rig.data_server PORT FOLDER SECONDS`: `FOLDER/manifest.json` is the snapshot's manifest,
its files lie in `FOLDER/files`. `GET /counts` tells how many files and bytes of them have been sent.
"""

import asyncio
import json
import sys
from pathlib import Path
from urllib.parse import quote, unquote

MANIFEST = "snapshot/manifest.json"


class DataServer:
    """Speaks as much of the trainers' protocol as a download needs."""

    def __init__(self, port: int, folder: Path, seconds: float) -> None:
        self.port, self.folder, self.seconds = port, folder, seconds
        self.files = self.bytes = 0

    async def run(self) -> None:
        server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, limit=1 << 22)
        async with server:
            await server.serve_forever()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                method, path, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
                fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)
                body = await reader.readexactly(int(fields.get(b"content-length", b"0")))
                content = self._post(path, body) if method == "POST" else self._get(path)
                if not path.startswith("/counts"):
                    await asyncio.sleep(self.seconds)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(content) + content)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):  # the caller is done
            writer.close()

    def _post(self, path: str, body: bytes) -> bytes:
        if not path.endswith("/urls"):
            return b'{"state": "running", "cancel": false, "lease_until": 0}'
        base = f"http://127.0.0.1:{self.port}/file/"
        return json.dumps({"get": {name: base + quote(name) for name in json.loads(body)["get"]}}).encode()

    def _get(self, path: str) -> bytes:
        name = unquote(path.removeprefix("/file/"))
        if name == "/counts":
            return json.dumps({"files": self.files, "bytes": self.bytes}).encode()
        if name == MANIFEST:
            return (self.folder / "manifest.json").read_bytes()
        content = (self.folder / "files" / name).read_bytes()
        self.files, self.bytes = self.files + 1, self.bytes + len(content)
        return content


if __name__ == "__main__":
    asyncio.run(DataServer(int(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])).run())
