"""comfy-api-simplified: a workflow from a file, whose nodes go by their titles."""

from __future__ import annotations

import base64
import json
import sys
import time
from pathlib import Path

from comfy_api_simplified import ComfyApiWrapper, ComfyWorkflowWrapper
from comfy_api_simplified.exceptions import ComfyApiError

task = json.loads(Path(sys.argv[1]).read_text("utf-8"))
api = ComfyApiWrapper(task["address"])

workflow = ComfyWorkflowWrapper(task["graph_file"])
workflow.set_node_param("Sample", "steps", task["steps"])
((name, content),) = api.queue_and_wait_images(workflow, "Save").items()
((repeated, _),) = api.queue_and_wait_images(workflow, "Save").items()
tiny = [len(api.queue_and_wait_images(graph, "Save")) == 1 for graph in task["tiny"]]

uploaded = api.upload_image(task["picture"], subfolder="simplified")

try:
    api.queue_prompt(task["bad"])
except ComfyApiError as error:
    refusal = str(error)

prompt_id = api.queue_prompt(task["long"])["prompt_id"]
while api.get_queue_size_before(prompt_id) > 0:
    time.sleep(0.02)
api.interrupt()
while not (entry := api.get_history(prompt_id).get(prompt_id)):
    time.sleep(0.02)

info = api.get_object_info("CheckpointLoaderSimple")["CheckpointLoaderSimple"]
result = {
    "picture": base64.b64encode(content).decode(),
    "repeated": repeated,
    "tiny": tiny,
    "uploaded": uploaded,
    "refusal": refusal,
    "cancelled": {"id": prompt_id, "saw": entry["status"]["messages"][-1][0]},
    "models": info["input"]["required"]["ckpt_name"][0],
}
print("\n" + json.dumps(result))
