// @stable-canvas/comfyui-client: a prompt as JSON, or written down node by node.
import { Client, Workflow } from "@stable-canvas/comfyui-client";
import WebSocket from "ws";
import { finish, readTask, untilFilled } from "./task.mjs";

const task = readTask();
const client = new Client({ api_host: new URL(task.address).host, WebSocket, fetch });
await client.connect();

const progress = [];
const drawn = await client.enqueue(task.graph, {
  progress: ({ value, max }) => progress.push([value, max]),
});
const again = await client.enqueue_polling(task.graph, { polling_ms: 100 });
const tiny = [];
for (const graph of task.tiny) tiny.push((await client.enqueue(graph)).images.length === 1);

const refusal = await client.enqueue(task.bad).catch((error) => error.json);

const workflow = new Workflow();
const [image] = workflow.classes.EmptyImage({ width: 24, height: 16, batch_size: 1, color: 255 });
workflow.classes.SaveImage({ images: image, filename_prefix: "written" });
const written = await workflow.invoke(client);

// Only a workflow of the client's own kind notices that it was interrupted.
const long = new Workflow();
for (const [id, node] of Object.entries(task.long)) long._workflow.prompt[id] = node;
const invoked = long.instance(client);
await invoked.enqueue();
const end = invoked.wait().catch((error) => error);
await untilFilled(async () => (await client.getQueue()).Running);
await invoked.interrupt();

finish({
  picture: await (await fetch(drawn.images[0].data)).blob(),
  progress,
  repeated: new URL(again.images[0].data).searchParams.get("filename"),
  tiny,
  written: new URL(written.images[0].data).searchParams.get("filename"),
  refusal: refusal.node_errors["4"].errors[0].type,
  cancelled: { id: invoked.task_id, saw: (await end).message },
  models: await client.getSDModels(),
});
