// Shows the queue and the last pictures; follows the server over its WebSocket.

const byId = (id) => document.getElementById(id);
const PICTURES = 12;

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

async function showQueue() {
  const queue = await getJson("/queue");
  byId("running").textContent = queue.queue_running.length;
  byId("pending").textContent = queue.queue_pending.length;
  if (queue.queue_running.length === 0) byId("progress").hidden = true;
}

async function showDevice() {
  const { devices } = await getJson("/system_stats");
  byId("device").textContent = devices.map((device) => device.name).join(", ");
}

let refreshing = false;
let again = false;

async function refresh() {
  if (refreshing) { again = true; return; }
  refreshing = true;
  try {
    await Promise.all([showQueue(), showPictures()]);
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
  socket.onopen = () => { byId("state").textContent = "ready"; showDevice(); };
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
