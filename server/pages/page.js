// Shows the queue and the last pictures; follows the server over its WebSocket.

const byId = (id) => document.getElementById(id);
const PICTURES = 12;
const JOBS = 10;
const GIB = 2 ** 30;

async function getJson(path) {
  const answer = await fetch(path);
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}

function savedImages(history) {
  const entries = Object.values(history).reverse();
  const outputs = entries.flatMap((entry) => Object.values(entry.outputs));
  return outputs.flatMap((output) => (Array.isArray(output.images) ? output.images : []));
}

function pictureLink(image) {
  const query = new URLSearchParams({
    filename: image.filename, subfolder: image.subfolder ?? "", type: image.type ?? "output",
  });
  const link = document.createElement("a");
  link.href = `/view?${query}`;
  const picture = document.createElement("img");
  picture.src = `/view?${query}&preview=webp;80`;
  picture.alt = image.filename;
  picture.title = image.filename;
  picture.loading = "lazy";
  link.append(picture);
  return link;
}

async function showPictures() {
  const images = savedImages(await getJson("/history?max_items=24")).slice(0, PICTURES);
  if (images.length > 0) byId("pictures").replaceChildren(...images.map(pictureLink));
}

function element(name, text, className = "") {
  const made = document.createElement(name);
  made.textContent = text;
  made.className = className;
  return made;
}

async function cancel(id, isRunning) {
  const [path, body] = isRunning ? ["/interrupt", { prompt_id: id }] : ["/queue", { delete: [id] }];
  await fetch(path, {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
  });
  refresh();
}

function jobLine([, id, graph], isRunning) {
  const line = document.createElement("li");
  const nodes = Object.keys(graph).length;
  const button = element("button", "cancel");
  button.setAttribute("aria-label", `cancel job ${id}`);
  button.onclick = () => { button.disabled = true; cancel(id, isRunning); };
  line.append(
    element("code", id.slice(0, 8)),
    element("span", isRunning ? "runs" : "waits", isRunning ? "runs" : ""),
    element("span", `${nodes} node${nodes === 1 ? "" : "s"}`, "dim"),
    button,
  );
  line.title = id;
  return line;
}

async function showQueue() {
  const { queue_running: running, queue_pending: pending } = await getJson("/queue");
  byId("running").textContent = running.length;
  byId("pending").textContent = pending.length;
  if (running.length === 0) byId("progress").hidden = true;
  const next = [...pending].sort((one, other) => one[0] - other[0]);
  const lines = [...running.map((job) => jobLine(job, true)), ...next.map((job) => jobLine(job, false))];
  const left = lines.length - JOBS;
  if (left > 0) lines.splice(JOBS, left, element("li", `and ${left} more`, "dim"));
  byId("jobs").replaceChildren(...lines);
}

async function showDevice() {
  const { devices } = await getJson("/system_stats");
  const free = devices.map((device) => (device.vram_free / GIB).toFixed(1)).join(", ");
  byId("device").textContent = devices.map((device) => device.name).join(", ");
  byId("memory").textContent = `${free} GB`;
}

let refreshing = false;
let again = false;

async function refresh() {
  if (refreshing) { again = true; return; }
  refreshing = true;
  try {
    await Promise.all([showQueue(), showPictures(), showDevice()]);
  } catch (error) {
    byId("state").textContent = String(error.message ?? error);
  }
  refreshing = false;
  if (again) { again = false; setTimeout(refresh, 250); }
}

function showProgress(value, max) {
  const bar = byId("progress");
  bar.hidden = false;
  bar.max = max;
  bar.value = value;
}

function follow() {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  const socket = new WebSocket(`${scheme}://${location.host}/ws`);
  socket.onopen = () => { byId("state").textContent = "ready"; refresh(); };
  socket.onmessage = (event) => {
    if (typeof event.data !== "string") return;
    const { type, data } = JSON.parse(event.data);
    if (type === "status") refresh();
    if (type === "progress") showProgress(data.value, data.max);
  };
  socket.onclose = () => {
    byId("state").textContent = "the server does not answer; trying again ...";
    setTimeout(follow, 2000);
  };
}

follow();
refresh();
