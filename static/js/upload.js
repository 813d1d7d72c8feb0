// Sends an archive in parts, three at once, and asks for its import: what has arrived before is not sent again.
/* global gettext */
import { Sha256 } from "./sha256.js";

const TRIES = 8;
const AT_ONCE = 3;
const form = document.getElementById("upload-form");
const said = document.getElementById("upload-said");
const progress = document.getElementById("upload-progress");
const wait = (seconds) => new Promise((done) => { setTimeout(done, 1000 * seconds); });
const megabytes = (bytes) => (bytes / 1e6).toLocaleString("en", { maximumFractionDigits: bytes < 1e7 ? 1 : 0 });

function show(text, share) {
  if (said.textContent !== text) said.textContent = text;
  progress.hidden = share === undefined;
  if (share !== undefined) progress.value = share;
}

async function call(address, method, body, type = "application/json") {
  const headers = { "Content-Type": type, "X-CSRFToken": form.elements.csrfmiddlewaretoken.value };
  const response = await fetch(address, { method, headers, body });
  const answer = await response.json().catch(() => ({}));
  if (response.ok) return answer;
  const words = answer.errors?.map((one) => one.message).join(" ") || answer.detail || gettext("the server answered %(status)s", { status: response.status });
  const final = response.status < 500 && response.status !== 429;
  throw Object.assign(new Error(words), { final, after: Number(response.headers.get("Retry-After")) });
}

// One part; what breaks is tried again.
async function send(address, number, blob, there) {
  const bytes = new Uint8Array(await blob.arrayBuffer());
  const sum = new Sha256();
  sum.update(bytes);
  const sha256 = sum.hex();
  if (there.get(number) === sha256) return;
  for (let failed = 0; ;) {
    try {
      await call(`${address}/parts/${number}?sha256=${sha256}`, "PUT", bytes, "application/octet-stream");
      return;
    } catch (error) {
      failed += 1;
      if (error.final || failed >= TRIES) throw error;
      said.textContent = gettext("Waiting to go on");
      await wait(error.after || Math.min(30, 2 ** failed));
    }
  }
}

async function upload(file) {
  const fields = form.elements;
  const organization = Number(fields.organization.value);
  const words = { organization, filename: file.name, size: file.size };
  const begun = await call(form.dataset.uploads, "POST", JSON.stringify(words));
  const address = `${form.dataset.uploads}/${begun.id}`;
  const there = new Map(begun.parts.map((one) => [one.number, one.sha256]));
  let next = 1;
  let sent = 0;
  let broken = false;
  const lane = async () => {
    while (next <= begun.part_count && !broken) {
      const number = next;
      next += 1;
      const blob = file.slice((number - 1) * begun.part_size, number * begun.part_size);
      try {
        await send(address, number, blob, there);
      } catch (error) {
        broken = true;
        throw error;
      }
      sent += blob.size;
      show(gettext("%(sent)s of %(all)s MB", { sent: megabytes(sent), all: megabytes(file.size) }), sent / file.size);
    }
  };
  show(gettext("Sending"), 0);
  await Promise.all(Array.from({ length: AT_ONCE }, lane));
  const asked = { organization, upload: begun.id, name: fields.name.value.trim() };
  const made = await call(form.dataset.imports, "POST", JSON.stringify(asked));
  location.assign(`/imports/${made.id}/`);
}

form?.elements.file.addEventListener("change", () => {
  const { name, file } = form.elements;
  if (file.files[0]) name.placeholder = file.files[0].name.replace(/(\.tar)?\.[a-z0-9]+$/i, "");
});
form?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = form.querySelector("button");
  const leaving = (leave) => leave.preventDefault();
  button.disabled = true;
  said.classList.remove("wrong");
  window.addEventListener("beforeunload", leaving);
  try {
    await upload(form.elements.file.files[0]).finally(() => window.removeEventListener("beforeunload", leaving));
  } catch (error) {
    said.classList.add("wrong");
    said.textContent = gettext("Not imported: %(reason)s What has arrived is kept: choose the same file to go on.", { reason: error.message });
    button.disabled = false;
  }
});
