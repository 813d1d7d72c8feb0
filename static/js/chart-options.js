// What a person has chosen for the charts: axis, smoothing, order, what is hidden and folded. The server keeps it per project.
const tools = document.getElementById("chart-tools");
const options = { axis: "step", smooth: 0, log: false, order: [], hidden: [], folded: [], ...JSON.parse(tools?.dataset.layout || "{}") };
let filter = "";
let saving = 0;

function save() {
  if (!tools?.dataset.save) return;
  const headers = { "Content-Type": "application/json", "X-CSRFToken": tools.elements.csrfmiddlewaretoken.value };
  fetch(tools.dataset.save, { method: "POST", headers, body: JSON.stringify(options), keepalive: true })
    .then((answer) => { tools.dataset.saved = answer.ok ? "yes" : "no"; })
    .catch((error) => console.warn("The layout of the charts was not saved; the next change tries again.", error));
}

function saveLater() {
  clearTimeout(saving);
  saving = setTimeout(save, 400);
}

// Take over changes and keep them; charts are drawn again, and with `anew` laid out again.
function change(changes, anew = false) {
  Object.assign(options, changes);
  dispatchEvent(new CustomEvent("chartoptions", { detail: { anew } }));
  saveLater();
}

function heard(event) {
  if (event.target.name === "filter") {
    filter = tools.filter.value.trim().toLowerCase();
    dispatchEvent(new CustomEvent("chartoptions", { detail: { anew: true } }));
    return;
  }
  tools.querySelector("output").textContent = tools.smooth.value;
  change({ axis: tools.axis.value, smooth: Number(tools.smooth.value), log: tools.log.checked });
}

// Show only the charts of metrics with this in their name.
function find(text) {
  tools.filter.value = text;
  tools.filter.dispatchEvent(new Event("input", { bubbles: true }));
}

if (tools) {
  tools.axis.value = options.axis;
  tools.smooth.value = options.smooth;
  tools.log.checked = options.log;
  tools.querySelector("output").textContent = options.smooth;
  tools.addEventListener("input", heard);
  tools.addEventListener("submit", (event) => event.preventDefault());
}
globalThis.ChartOptions = { options, change, find, matches: (name) => !filter || name.toLowerCase().includes(filter), filtered: () => Boolean(filter) };
