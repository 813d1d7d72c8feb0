"""A custom trainer in twenty lines: the standard library and POST, without the SDK. Put your training at the mark."""

import json
import os
import urllib.request

epochs, loss = int(os.environ.get("EPOCHS", "5")), 1.0


def post(call: str, **body: object) -> dict:
    headers = {"Authorization": f"Bearer {os.environ['CALLBACK_TOKEN']}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"{os.environ['CALLBACK_URL']}/{call}", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


post("started", operation="train", total_epochs=epochs)
for epoch in range(1, epochs + 1):
    loss *= 0.8  # the mark: train one epoch here
    answer = post("progress", no=epoch, epoch=epoch, step=epoch, metrics={"train/loss": loss})
    if answer["cancel"]:
        post("completion", status="cancelled", last_no=epoch)
        raise SystemExit(0)
post("completion", status="completed", last_no=epochs, final_metrics={"train/loss": loss}, exit_code=0)
