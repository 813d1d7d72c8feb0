// <metric-chart>: one plot with its legend, its zoom and what can be kept of it.
/* global uPlot, SeriesWindow, ChartWords, ChartMarks, ChartOptions, gettext */
const { colour, figure, clock, short, smoothed, placed, nearest, element } = ChartWords;
const { options } = ChartOptions;
const COLOURS = 8;
const DOTS = 40; // points of a line that are still marked one by one

class MetricChart extends HTMLElement {
  names = [];
  hiddenNames = new Set();
  zoomed = null; // {low, high} along the axis
  detail = null; // the zoomed window, finer than the board's series

  build(board, title, group, key = title) {
    this.board = board;
    this.group = group;
    this.key = key;
    const icon = (name) => element("span", { innerHTML: `<svg class="icon" aria-hidden="true"><use href="${board.icons}#${name}"/></svg>` });
    this.full = element("button", { className: "quiet", type: "button", title: gettext("Full screen"), onclick: () => this.fullscreen() }, icon("expand"));
    this.full.setAttribute("aria-label", gettext("%(chart)s: full screen", { chart: title }));
    this.menu = element("div", { className: "menu" });
    const summary = element("summary", { title: gettext("Download") }, icon("download"));
    summary.setAttribute("aria-label", gettext("%(chart)s: download", { chart: title }));
    this.plot = element("div", { className: "plot" });
    this.legend = element("div", { className: "legend" });
    this.append(element("header", {}, element("h3", { title }, element("small", { textContent: group }), title), element("details", {}, summary, this.menu), this.full), this.plot, this.legend);
    this.title_ = title;
    new ResizeObserver(() => this.resize()).observe(this.plot);
    new IntersectionObserver((seen) => this.seen(seen.at(-1).isIntersecting), { rootMargin: "200px" }).observe(this);
  }

  seen(visible) {
    this.visible = visible;
    if (visible && this.stale) this.draw();
  }

  update() {
    this.stale = true;
    if (this.detail) this.renewed();
    if (this.visible) this.draw();
  }

  get series() {
    return this.detail || this.board.store;
  }

  zoom(low, high) {
    this.zoomed = { low, high };
    this.refine();
  }

  unzoom() {
    this.zoomed = this.detail = null;
    this.asking?.abort();
  }

  // Ask the server for what is in the window, if the series at hand are condensed.
  async refine() {
    this.asking?.abort();
    const { low, high } = this.zoomed;
    if (!this.names.some((name) => this.board.store.line(name, this.axis).condensed)) return;
    this.asking = new AbortController();
    try {
      const window = this.board.store.detail || ((...asked) => SeriesWindow.of(this.board.store, ...asked));
      const found = await window(this.names, this.axis, low, high, Math.max(50, Math.min(4000, this.plot.clientWidth)), this.asking.signal);
      if (found.series.size) this.detail = found;
      this.draw();
    } catch (error) {
      if (error.name !== "AbortError") console.warn("The zoomed window stays coarse.", error);
    }
  }

  // New points may belong into a window that reaches to the end of the run.
  renewed() {
    const last = Math.max(...this.names.map((name) => this.board.store.line(name, this.axis).x.at(-1) ?? -Infinity));
    if (this.zoomed.high >= last) this.renewal ||= setTimeout(() => {
      this.renewal = 0;
      if (this.zoomed) this.refine();
    }, 1000);
  }

  get axis() {
    const own = this.board.dataset.axis;
    return own && options.axis !== "wall" ? own : options.axis;
  }

  // What the plot is made of: for each shown metric its line, and where there are some its envelope, raw and replaced points.
  layers() {
    const layers = [];
    this.names.forEach((name, i) => {
      const line = this.series.line(name, this.axis);
      const about = this.about(name);
      const base = { name, line, hue: this.hue(i), dash: about.dashed ? [5, 4] : undefined };
      if (this.hiddenNames.has(name)) return;
      if (line.old.x.length) layers.push({ ...base, kind: "old", x: line.old.x, y: line.old.y, alpha: 0.25, width: 1 });
      const edge = { ...base, dash: undefined, alpha: 0.45, width: 1 }; // a band alone would be too thin a sign of a single spike
      if (line.condensed) layers.push({ ...edge, kind: "high", x: line.x, y: line.high }, { ...edge, kind: "low", x: line.x, y: line.low });
      if (options.smooth > 0) layers.push({ ...base, kind: "raw", x: line.x, y: line.y, alpha: 0.25, width: 1 });
      layers.push({ ...base, kind: "main", x: line.x, y: options.smooth > 0 ? smoothed(line.x, line.y, options.smooth) : line.y, alpha: 1, width: 1.6 });
    });
    return layers;
  }

  draw() {
    this.stale = false;
    const waits = this.series.want?.(this.names);
    const layers = this.layers();
    this.marks = layers.filter((one) => one.kind === "main").flatMap((one) => one.line.marks.map((mark) => ({ ...mark, hue: one.hue })));
    const positive = (values) => (options.log ? values.map((value) => (value > 0 ? value : null)) : values);
    const tables = layers.map((one) => [one.x, positive(one.y)]);
    for (const mark of this.marks) tables.push([[mark.x], [null]]); // so that the axis reaches them
    const joined = tables.length ? uPlot.join(tables, tables.map(() => [0, 1])) : [[]];
    const data = joined.slice(0, layers.length + 1);
    const shape = JSON.stringify([layers.map((one) => [one.name, one.kind, one.x.length < DOTS]), options.log, this.axis, document.documentElement.dataset.theme]);
    if (!this.u || shape !== this.shape) {
      this.shape = shape;
      this.make(layers, data);
    } else {
      this.u.setData(data, !this.zoomed);
      if (this.zoomed) this.u.setScale("x", { min: this.zoomed.low, max: this.zoomed.high });
    }
    this.none(layers.length && layers.every((one) => one.y.every((value) => value === null)) && !this.marks.length, waits);
    this.legendWrite(null);
  }

  none(empty, waits) {
    this.querySelector(".none")?.remove();
    const told = options.log ? gettext("Nothing above 0") : gettext("No values yet");
    if (empty) this.append(element("p", { className: "none", textContent: waits ? gettext("Loading …") : told }));
  }

  make(layers, data) {
    this.u?.destroy();
    const axis = { stroke: colour("muted"), font: "11px system-ui, sans-serif", grid: { stroke: colour("line"), width: 1 }, ticks: { show: false } };
    const time = this.axis === "time";
    const wall = this.axis === "wall";
    const bands = [];
    layers.forEach((one, i) => {
      if (one.kind === "high") bands.push({ series: [i + 1, i + 2], fill: colour(one.hue, 0.18) });
    });
    const series = layers.map((one) => ({
      stroke: one.alpha ? colour(one.hue, one.alpha) : undefined,
      width: one.width || 0,
      dash: one.dash,
      points: { show: one.kind === "main" && one.x.length < DOTS, size: 4, fill: colour(one.hue), stroke: colour(one.hue) },
    }));
    const ticks = time ? { incrs: [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400] } : {};
    const wide = (u, values) => 14 + 6.5 * Math.max(2, ...(values || []).map((value) => String(value ?? "").length));
    this.u = new uPlot(
      {
        width: Math.max(120, this.plot.clientWidth),
        height: Math.max(120, this.plot.clientHeight),
        legend: { show: false },
        padding: [8, 10, 0, 0],
        cursor: { sync: { key: `${this.board.id}-${this.axis}`, scales: ["x", null] }, points: { size: (u, i) => (layers[i - 1]?.kind === "main" ? 7 : 0) }, y: false, dataIdx: nearest },
        scales: { x: { time: wall, range: (u, low, high) => (low === high ? [low - 1, high + 1] : [low, high]) }, y: { distr: options.log ? 3 : 1 } },
        axes: [{ ...axis, ...ticks, size: wall ? 34 : 26, ...(wall ? {} : { values: (u, all) => all.map(time ? clock : short) }) }, { ...axis, size: wide, values: (u, all) => all.map((one) => (one === null ? "" : short(one))) }],
        series: [{}, ...series],
        bands,
        hooks: { draw: [(u) => ChartMarks.draw(u, this.marks, this.board.store.happened(this.axis))], setCursor: [(u) => this.legendLater(u)], setSelect: [(u) => u.select.width > 0 && this.zoom(u.posToVal(u.select.left, "x"), u.posToVal(u.select.left + u.select.width, "x"))] },
      },
      data,
      this.plot,
    );
    if (this.zoomed) this.u.setScale("x", { min: this.zoomed.low, max: this.zoomed.high });
    this.u.over.addEventListener("dblclick", () => {
      this.unzoom();
      this.draw();
    });
    this.drawn = layers;
  }

  // How a series is called here; a board of several jobs calls it by the job.
  about(name) {
    return this.board.about?.(name) || placed(name);
  }

  hue(index) {
    return `c${index % COLOURS}`;
  }

  legendLater(u) {
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => this.legendWrite(u.cursor.idx));
  }

  legendWrite(index) {
    if (this.legended !== this.names.join("\n")) this.legendBuild();
    this.names.forEach((name, i) => {
      const layer = index === null || index === undefined ? -1 : this.drawn.findIndex((one) => one.name === name && one.kind === "main");
      const value = layer < 0 ? this.board.store.latest(name) : this.u.data[layer + 1][nearest(this.u, layer + 1, index)];
      this.legend.children[i].lastChild.textContent = figure(value);
    });
  }

  legendBuild() {
    this.legended = this.names.join("\n");
    this.legend.replaceChildren(
      ...this.names.map((name, i) => {
        const line = element("i", { className: this.about(name).dashed ? "dashed" : "" });
        line.style.color = `var(--${this.hue(i)})`;
        const button = element("button", { type: "button", title: gettext("%(name)s: show or hide; with Alt or a double click it is shown alone", { name }) }, line, element("span", { textContent: this.about(name).label }), element("b"));
        button.setAttribute("aria-pressed", String(!this.hiddenNames.has(name)));
        button.onclick = (event) => (event.altKey ? this.alone(name) : this.toggle(name));
        button.ondblclick = () => this.alone(name);
        return button;
      }),
    );
    this.menu.replaceChildren(...this.entries());
  }

  // What the menu offers: the data, the picture, and the chart's place on the board.
  entries() {
    const query = this.names.map((name) => `name=${encodeURIComponent(name)}`).join("&");
    const act = (textContent, onclick) => element("button", { type: "button", textContent, onclick });
    const data = [
      element("a", { href: `${this.board.dataset.export}?${query}`, textContent: "CSV" }),
      element("a", { href: `${this.board.dataset.source}?${query}&full=1`, download: `${this.title_}.json`, textContent: "JSON" }),
    ];
    const place = [
      act(gettext("Move earlier"), () => this.board.move(this, -1)),
      act(gettext("Move later"), () => this.board.move(this, 1)),
      act(gettext("Hide this chart"), () => this.board.hide(this)),
    ];
    return [...(this.board.dataset.export ? data : []), act("PNG", () => this.picture()), ...(this.board.move ? place : [])];
  }

  toggle(name) {
    if (!this.hiddenNames.delete(name)) this.hiddenNames.add(name);
    this.pressed();
  }

  // Only this series; once more, and all are back.
  alone(name) {
    const others = this.names.filter((one) => one !== name);
    const already = others.length && others.every((one) => this.hiddenNames.has(one)) && this.soloed === name;
    this.soloed = already ? null : name;
    this.hiddenNames = new Set(already ? [] : others);
    this.pressed();
  }

  pressed() {
    this.names.forEach((name, i) => this.legend.children[i]?.setAttribute("aria-pressed", String(!this.hiddenNames.has(name))));
    this.draw();
  }

  resize() {
    if (this.u && this.plot.clientWidth) this.u.setSize({ width: this.plot.clientWidth, height: Math.max(120, this.plot.clientHeight) });
  }

  fullscreen() {
    if (document.fullscreenElement) document.exitFullscreen();
    else this.requestFullscreen();
  }

  picture() {
    const from = this.u.ctx.canvas;
    const canvas = element("canvas", { width: from.width, height: from.height + 30 * devicePixelRatio });
    const ctx = canvas.getContext("2d");
    ctx.fillStyle = colour("panel");
    ctx.fillRect(0, 0, canvas.width, canvas.height);
    ctx.fillStyle = colour("text");
    ctx.font = `600 ${13 * devicePixelRatio}px system-ui, sans-serif`;
    ctx.fillText(`${this.title_} · ${this.names.map((name) => this.about(name).label).join(", ")}`, 12 * devicePixelRatio, 20 * devicePixelRatio);
    ctx.drawImage(from, 0, 30 * devicePixelRatio);
    canvas.toBlob((blob) => {
      const link = element("a", { href: URL.createObjectURL(blob), download: `${this.title_.replaceAll("/", "_")}.png` });
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    });
  }
}

customElements.define("metric-chart", MetricChart);
