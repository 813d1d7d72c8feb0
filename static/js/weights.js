// Uploads a file of weights in parts: its checksum first, then what the store does not have yet.
/* global gettext */
import { Sha256 } from "./sha256.js";

const PIECE = 4 * 1024 * 1024;
const TRIES = 8;
const form = document.getElementById("weights-form");
const said = document.getElementById("weights-said");
const progress = document.getElementById("weights-progress");
const wait = (seconds) => new Promise((done) => { setTimeout(done, 1000 * seconds); });

function show(text, share) {
  if (said.textContent !== text) said.textContent = text;
  progress.hidden = share === undefined;
  if (share !== undefined) progress.value = share;
}

async function checksum(file) {
  const sum = new Sha256();
  for (let at = 0; at < file.size; at += PIECE) {
    sum.update(new Uint8Array(await file.slice(at, at + PIECE).arrayBuffer()));
    show(gettext("Reading the file"), at / file.size);
  }
  return sum.hex();
}

async function call(address, body) {
  const headers = { "Content-Type": "application/json", "X-CSRFToken": form.elements.csrfmiddlewaretoken.value };
  const response = await fetch(address, { method: "POST", headers, body: JSON.stringify(body) });
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.errors?.map((one) => one.message).join(" ") || answer.detail);
  return answer;
}

// The place from which to go on, after one part; what breaks is tried again, from where the store says it is.
async function part(url, file, first, size) {
  const last = Math.min(first + size, file.size);
  const headers = { "Content-Range": `bytes ${first}-${last - 1}/${file.size}` };
  const response = await fetch(url, { method: "PUT", headers, body: file.slice(first, last) });
  const answer = await response.json().catch(() => ({}));
  if (response.ok || response.status === 409) return answer.received;
  if (response.status < 500 && response.status !== 429) throw Object.assign(new Error(answer.message || gettext("refused")), { final: true });
  throw new Error(gettext("the server answered %(status)s", { status: response.status }));
}

async function send(upload, file) {
  const head = await fetch(upload.url, { method: "HEAD" });
  let place = Number(head.headers.get("X-Received") || 0);
  for (let failed = 0; place < file.size;) {
    try {
      place = await part(upload.url, file, place, upload.part_size);
      failed = 0;
      show(gettext("Uploading"), place / file.size);
    } catch (error) {
      failed += 1;
      if (error.final || failed >= TRIES) throw error;
      show(gettext("Waiting to go on"), place / file.size);
      await wait(Math.min(30, 2 ** failed));
    }
  }
}

async function upload() {
  const fields = form.elements;
  const file = fields.file.files[0];
  const [framework, task] = fields.for.value.split(" ");
  const words = { organization: Number(fields.organization.value), name: fields.name.value.trim(), framework, task_type: task };
  const sha256 = await checksum(file);
  const begun = await call(form.dataset.api, { ...words, filename: file.name, size: file.size, sha256 });
  await send(begun.upload, file);
  show(gettext("Checking"), 1);
  await call(`${form.dataset.api}/${begun.weights.id}/finish`, {});
}

form?.elements.file.addEventListener("change", () => {
  const { name, file } = form.elements;
  if (!name.value && file.files[0]) name.value = file.files[0].name.slice(0, 120);
});
form?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = form.querySelector("button");
  button.disabled = true;
  said.classList.remove("wrong");
  try {
    await upload();
    location.reload();
  } catch (error) {
    said.classList.add("wrong");
    show(gettext("Not uploaded: %(reason)s", { reason: error.message }));
    button.disabled = false;
  }
});
