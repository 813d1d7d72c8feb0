// Keeps an open job page at the journal's end: over the socket, or by polling where there is none.
/* global htmx, gettext */
const news = document.getElementById("news");
const sign = document.getElementById("connection");
const TEXTS = { connecting: gettext("Connecting"), live: gettext("Live"), reconnecting: gettext("Reconnecting"), polling: gettext("Polling") };
const REFUSED = { 4401: gettext("Signed out: reload to sign in"), 4403: gettext("Access ended: reload"), 4404: gettext("This job is gone") };
let have = Number(news.dataset.seq); // the page holds everything up to here
let heard = 0;
let state = "connecting";
let title = document.title;
let jobState = document.getElementById("job-state").dataset.state;

function show(now, text = TEXTS[now]) {
  state = now;
  sign.hidden = false;
  sign.dataset.state = now;
  if (sign.textContent !== text) sign.textContent = text;
}

function ended(code) {
  show("ended", REFUSED[code]);
  document.getElementById("job-gone").hidden = code !== 4404;
}

function moved(detail) {
  have = Math.max(have, detail.seq);
  dispatchEvent(new CustomEvent("journal", { detail }));
}

// Chart points come as JSON and move the cursor; everything else is fragments, which htmx puts in their places.
document.body.addEventListener("htmx:wsOpen", ({ detail }) => {
  detail.socketWrapper.sendImmediately(JSON.stringify({ after: have, acks: true, language: document.documentElement.lang }));
});
document.body.addEventListener("htmx:wsBeforeMessage", (event) => {
  const { message, socketWrapper } = event.detail;
  if (state !== "live") show("live");
  if (!message.startsWith("{")) return;
  event.preventDefault();
  const said = JSON.parse(message);
  if (said.seq > have) moved(said);
  heard = (heard + 1) % 4; // the server waits for a word after eight messages
  if (!heard) socketWrapper.sendImmediately(JSON.stringify({ after: have }));
});
document.body.addEventListener("htmx:wsClose", ({ detail }) => {
  if (REFUSED[detail.event.code]) ended(detail.event.code);
  else if (state !== "polling") show("reconnecting");
});

// The poll is always set up, and stays silent while the socket speaks.
news.addEventListener("htmx:configRequest", (event) => {
  if (state === "live" || state === "ended" || document.hidden) event.preventDefault();
  event.detail.parameters.after = have;
});
news.addEventListener("htmx:afterRequest", ({ detail }) => {
  if (state === "live") return;
  if (detail.xhr.status === 401) ended(4401);
  else if (detail.xhr.status === 404) ended(4404);
  else if (!detail.successful) show("reconnecting");
  else {
    show("polling");
    moved({ type: "poll", seq: Number(detail.xhr.getResponseHeader("X-Journal-Seq")) });
  }
});

// What a person may do depends on who it is, so it is not pushed: the page asks when the state has changed.
document.body.addEventListener("htmx:oobAfterSwap", ({ detail }) => {
  if (detail.target.id === "checkpoints") dispatchEvent(new Event("checkpoints"));
  const now = document.getElementById("job-state").dataset.state;
  const percent = document.querySelector("#job-header output")?.textContent.trim();
  document.title = now === "running" && percent?.includes("%") ? `${percent} · ${title}` : title;
  if (now !== jobState) htmx.trigger("#job-actions", "statechange");
  jobState = now;
});
show("connecting");
