"""Run the trainer and name every address that the process, or a library in it, turns to."""

import runpy
import sys


def watch(event: str, arguments: tuple) -> None:
    if event in ("socket.connect", "socket.getaddrinfo"):
        address = arguments[1] if event == "socket.connect" else arguments[:2]
        print(f"ADDRESS {address}", flush=True)


sys.addaudithook(watch)
runpy.run_module("trainers.ultralytics.train", run_name="__main__")
