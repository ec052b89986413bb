"""comfyapi: asks the history until a picture is in it."""

from __future__ import annotations

import base64
import json
import sys
import tempfile
from pathlib import Path

from comfyapi import ComfyAPIManager, QueueError

task = json.loads(Path(sys.argv[1]).read_text("utf-8"))
manager = ComfyAPIManager()
manager.set_base_url(task["address"])

manager.load_workflow(task["graph_file"])
manager.edit_workflow(["3", "inputs", "seed"], task["seed"])
names = []
for _ in range(2):
    prompt_id = manager.submit_workflow()
    name, url = manager.wait_for_finish(prompt_id, poll_interval=0.1)
    names.append(name)
with tempfile.TemporaryDirectory() as folder:
    content = Path(manager.download_output(url, save_path=folder)).read_bytes()

manager.load_workflow(task["bad_file"])
try:
    manager.submit_workflow()
except QueueError as error:
    refusal = str(error)

result = {
    "picture": base64.b64encode(content).decode(),
    "repeated": names[1],
    "refusal": refusal,
}
print("\n" + json.dumps(result))
