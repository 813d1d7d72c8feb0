// Figures, times, colours and places: what charts say in words.
/* global gettext */
const probe = document.body.appendChild(Object.assign(document.createElement("span"), { hidden: true }));

// A colour of the design in the present mode, optionally faint.
function colour(name, alpha = 1) {
  probe.style.color = `color-mix(in srgb, var(--${name}) ${alpha * 100}%, transparent)`;
  return getComputedStyle(probe).color;
}

function figure(value) {
  if (value === null || value === undefined) return "–";
  if (typeof value !== "number") return String(value).replace("Infinity", "∞");
  const size = Math.abs(value);
  if (value === Math.round(value) && size < 1e7) return String(value);
  if (size >= 1e5 || size < 1e-3) return value.toExponential(2);
  return value.toFixed(size < 1 ? 4 : size < 100 ? 3 : 1);
}

function clock(seconds) {
  const s = Math.round(seconds);
  const two = (n) => String(n).padStart(2, "0");
  const minutes = `${Math.floor(s / 60) % 60}:${two(s % 60)}`;
  return s < 3600 ? minutes : `${Math.floor(s / 3600)}:${minutes.padStart(5, "0")}`;
}

function short(value) {
  const size = Math.abs(value);
  if (size >= 1e6) return `${+(value / 1e6).toPrecision(4)}M`;
  if (size >= 1e4) return `${+(value / 1e3).toPrecision(4)}k`;
  return size && size < 1e-3 ? value.toExponential(0) : String(+value.toPrecision(6));
}

// An average that forgets along x, so that sparse series are smoothed as far as dense ones. Not drawn towards 0 at first; gaps stay gaps.
function smoothed(x, values, weight) {
  const reach = (x.at(-1) - x[0]) / 300 || 1;
  let sum = 0;
  let norm = 0;
  let before = x[0];
  return values.map((value, i) => {
    if (value === null) return null;
    const keep = weight ** Math.max(1e-3, (x[i] - before) / reach);
    sum = sum * keep + (1 - keep) * value;
    norm = norm * keep + (1 - keep);
    before = x[i];
    return sum / norm;
  });
}

// What a measurement of the machine tells, as its name ends: `gpu.0.memory_gib` is memory, in GiB.
function quantity(name) {
  const units = { utilization: "load, %", cpu: "load, %", percent: "used, %", gib: "memory, GiB", temperature: "temperature, °C", watts: "power, W" };
  const last = name.split(".").pop();
  return units[last.split("_").pop()] || last.replaceAll("_", " ");
}

// Which chart a metric belongs to: {group, chart, label, dashed}.
function placed(name) {
  const cut = name.indexOf("/");
  const prefix = cut < 0 ? "" : name.slice(0, cut);
  const rest = cut < 0 ? name : name.slice(cut + 1);
  if (prefix === "train" && rest.startsWith("batch/")) return { group: "train · val", chart: rest.slice(6), label: "batch" };
  if (prefix === "train" || prefix === "val") return { group: "train · val", chart: rest, label: prefix, dashed: prefix === "val" };
  if (prefix === "system") return { group: "", chart: quantity(rest), label: rest.replace(/\.[^.]*$/, "").replace(".", " ") };
  if (prefix === "metrics") return { group: prefix, chart: "validation scores", label: rest };
  if (prefix === "lr") return { group: prefix, chart: "learning rate", label: rest };
  return { group: prefix, chart: rest, label: rest };
}

// A chart's name for people; it is kept, and found again, by the English one.
function titled(chart) {
  const known = {
    "load, %": gettext("load, %"),
    "used, %": gettext("used, %"),
    "memory, GiB": gettext("memory, GiB"),
    "temperature, °C": gettext("temperature, °C"),
    "power, W": gettext("power, W"),
    "validation scores": gettext("validation scores"),
    "learning rate": gettext("learning rate"),
  };
  return known[chart] || chart;
}

// The last point of a series at or before the cursor: where another series has a point, this one need not.
function nearest(u, series, index) {
  const values = u.data[series];
  for (let back = index; back >= 0; back--) if (values[back] !== undefined && values[back] !== null) return back;
  return index;
}

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

Object.assign(globalThis, { ChartWords: { colour, figure, clock, short, smoothed, placed, titled, nearest, element } });
