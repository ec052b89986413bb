// comfy-ui-client: ComfyUI's WebSocket example as a class.
import { ComfyUIClient } from "comfy-ui-client";
import { finish, picture, readTask, untilFilled } from "./task.mjs";

const task = readTask();
const client = new ComfyUIClient(new URL(task.address).host, "comfy-ui-client");
await client.connect();

const drawn = await client.getImages(task.graph);
const again = await client.getImages(task.graph);
const tiny = [];
for (const graph of task.tiny) tiny.push((await client.getImages(graph))["9"].length === 1);

const uploaded = await client.uploadImage(picture(task), "from client.png", true);

const refusal = await client.getImages(task.bad).catch((error) => error.message);

const { prompt_id: id } = await client.queuePrompt(task.long);
await untilFilled(async () => (await client.getQueue()).queue_running);
await client.interrupt(); // reads the answer as JSON
await untilFilled(async () => Object.keys(await client.getHistory(id)));
const { status } = (await client.getHistory(id))[id];

await client.editHistory({ delete: ["no such prompt"] });
const { CheckpointLoaderSimple } = await client.getObjectInfo("CheckpointLoaderSimple");

finish({
  picture: drawn["9"][0].blob,
  repeated: again["9"][0].image.filename,
  tiny,
  uploaded,
  refusal,
  cancelled: { id, saw: status.messages.at(-1)[0] },
  models: CheckpointLoaderSimple.input.required.ckpt_name[0],
});
