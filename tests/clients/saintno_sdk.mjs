// @saintno/comfyui-sdk: a prompt builder, and a wrapper that calls back.
import { CallWrapper, ComfyApi, PromptBuilder } from "@saintno/comfyui-sdk";
import { finish, picture, readTask, untilFilled } from "./task.mjs";

const task = readTask();
const api = await new ComfyApi(task.address).init().waitForReady();

const unseen = () => ({ id: null, progress: [], failure: null });

async function run(graph, seen = unseen()) {
  const builder = new PromptBuilder(graph, [], ["images"]).setOutputNode("images", "9");
  seen.output = await new CallWrapper(api, builder)
    .onPending((id) => (seen.id = id))
    .onProgress((progress) => seen.progress.push([progress.value, progress.max]))
    .onFailed((error) => (seen.failure ??= error))
    .run();
  return seen;
}

const drawn = await run(task.graph);
const again = await run(task.graph);
const tiny = [];
for (const graph of task.tiny) tiny.push(Boolean((await run(graph)).output));

const sent = await api.uploadImage(picture(task), "from sdk.png");

const refused = await run(task.bad);

// It listens for an interruption once it has asked for the history, so not from the first moment.
const seen = unseen();
const cancelled = run(task.long, seen);
await untilFilled(async () => seen.progress);
await api.interrupt();
const { id, failure } = await cancelled;

finish({
  picture: await api.getImage(drawn.output.images.images[0]),
  progress: drawn.progress,
  repeated: again.output.images.images[0].filename,
  tiny,
  uploaded: sent.info,
  refusal: refused.failure.cause.node_errors["4"].errors[0].type,
  cancelled: { id, saw: failure.name },
  models: await api.getCheckpoints(),
});
