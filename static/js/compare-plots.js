// Scatter and parallel coordinates of compared jobs, as SVG.
/* global gettext */
const { jobs, columns } = JSON.parse(document.getElementById("compare-tools").dataset.drawn);
const AXES = 10;

function svg(tag, properties = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(properties)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

// Where each value lies between 0 and 1: numbers by size, words in order; null where there is none.
function scale(values) {
  const known = values.filter((value) => value !== null);
  const numbers = known.every((value) => typeof value === "number");
  const order = numbers ? known : [...new Set(known.map(String))].sort();
  const low = numbers ? Math.min(...order) : 0;
  const high = numbers ? Math.max(...order) : order.length - 1;
  const place = (value) => (high === low ? 0.5 : ((numbers ? value : order.indexOf(String(value))) - low) / (high - low));
  const text = (value) => (typeof value === "number" ? String(+value.toPrecision(4)) : String(value).slice(0, 18));
  const ends = numbers ? [low, high] : [order[0], order.at(-1)];
  return { at: values.map((value) => (value === null ? null : place(value))), ends: known.length ? ends.map(text) : ["", ""] };
}

// Drawings are as wide as their place, so that letters have their own size.
const room = (box) => Math.max(300, box.clientWidth);

const named = (job, text) => svg("title", {}, `${job.name}: ${text}`);

// A style by the sheet's own variables; set through the object model, as the page's policy wants.
function coloured(shape, index, fill) {
  shape.style.stroke = `var(--c${index % 8})`;
  shape.style.fill = fill ? `var(--c${index % 8})` : "none";
  return shape;
}

function scatter(box) {
  const { x, y } = box.dataset;
  if (!columns[x] || !columns[y]) return box.replaceChildren(gettext("Nothing differs between these jobs yet."));
  const [across, up] = [scale(columns[x]), scale(columns[y])];
  const wide = room(box);
  const drawing = svg("svg", { viewBox: `0 0 ${wide} 290`, role: "group", "aria-label": gettext("%(y)s over %(x)s", { x, y }) });
  drawing.append(svg("path", { class: "rule", d: `M60 10V250H${wide - 10}`, fill: "none" }));
  const label = (left, top, text, anchor) => drawing.append(svg("text", { x: left, y: top, "text-anchor": anchor }, text));
  label(56, 252, up.ends[0], "end"); label(56, 20, up.ends[1], "end");
  label(66, 268, across.ends[0], "start"); label(wide - 10, 268, across.ends[1], "end");
  jobs.forEach((job, i) => {
    if (across.at[i] === null || up.at[i] === null) return;
    const dot = coloured(svg("circle", { cx: 70 + across.at[i] * (wide - 90), cy: 240 - up.at[i] * 220, r: 5 }, named(job, `${columns[x][i]}, ${columns[y][i]}`)), i, true);
    drawing.append(svg("a", { href: job.page, "aria-label": job.name }, dot));
  });
  return box.replaceChildren(drawing);
}

function parallel(box) {
  const shown = Object.keys(columns).slice(-AXES);
  if (shown.length < 2) return box.replaceChildren(gettext("Nothing differs between these jobs yet."));
  const wide = Math.max(room(box), shown.length * 130);
  const left = (index) => 60 + (index * (wide - 120)) / (shown.length - 1);
  const scales = shown.map((name) => scale(columns[name]));
  const drawing = svg("svg", { viewBox: `0 0 ${wide} 260`, width: wide, role: "img", "aria-label": gettext("Parallel coordinates: a line per job") });
  shown.forEach((name, i) => {
    const text = (y, words) => svg("text", { x: left(i), y, "text-anchor": "middle" }, words);
    const title = text(14 + (i % 2) * 14, name.length > 24 ? `${name.slice(0, 23)}…` : name);
    title.append(svg("title", {}, name));
    drawing.append(svg("path", { class: "rule", d: `M${left(i)} 50V230` }), title, text(44, scales[i].ends[1]), text(246, scales[i].ends[0]));
  });
  jobs.forEach((job, row) => {
    const places = scales.map((one, i) => (one.at[row] === null ? null : `${left(i)} ${230 - one.at[row] * 180}`)).filter(Boolean);
    if (places.length > 1) drawing.append(coloured(svg("path", { class: "line", d: `M${places.join("L")}` }, named(job, shown.map((name) => columns[name][row] ?? "–").join(" · "))), row, false));
  });
  return box.replaceChildren(drawing);
}

scatter(document.getElementById("scatter"));
parallel(document.getElementById("parallel"));
