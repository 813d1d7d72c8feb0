// <metric-board>: groups of charts that fold, built as they are needed, in the order that a person chose.
/* global SeriesStore, ChartWords, ChartOptions, gettext, ngettext */
const { placed, titled, element } = ChartWords;
const { options, change, matches, filtered } = ChartOptions;
const SERIES = 8; // of one chart, as there are colours
const CHARTS = 24; // of one group, until more are asked for
const GROUPS = 30;
const FIRST = ["train · val", "metrics"];

const rank = (group) => FIRST.indexOf(group) + 1 || (group === "lr" ? 9 : 5);
const before = (one, two) => (one < two ? -1 : Number(one > two));

class ChartGroup {
  wanted = new Map(); // a chart's key → {key, title, names, chart}; the chart itself comes when it is shown
  most = CHARTS;

  constructor(board, name) {
    this.board = board;
    this.name = name;
    this.count = element("small", { className: "number" });
    this.grid = element("div", { className: "chart-grid" });
    this.box = element("details", { className: "chart-group", open: !options.folded.includes(name) || filtered() });
    this.box.append(element("summary", {}, element("span", { textContent: name || gettext("other") }), " ", this.count), this.grid);
    this.box.addEventListener("toggle", () => this.folded());
  }

  folded() {
    const others = options.folded.filter((name) => name !== this.name);
    const known = others.length < options.folded.length;
    if (!filtered() && known === this.box.open) change({ folded: this.box.open ? others : [...others, this.name] });
    this.fill();
  }

  take(name) {
    const { chart: title } = placed(name);
    for (let page = 0; ; page++) {
      const key = `${this.name}/${title}${page ? `/${page}` : ""}`;
      const place = this.wanted.get(key) || { key, title, names: [] };
      if (place.names.length >= SERIES) continue;
      this.wanted.set(key, place);
      place.names.push(name);
      place.names.sort();
      this.changed = true;
      return;
    }
  }

  // The places that are shown, in order: what a person has moved first, then by name.
  get shown() {
    const hidden = new Set(options.hidden);
    const order = new Map(options.order.map((key, index) => [key, index]));
    const at = (place) => order.get(place.key) ?? Infinity;
    return [...this.wanted.values()].filter((one) => !hidden.has(one.key)).sort((one, two) => at(one) - at(two) || before(one.key, two.key));
  }

  fill() {
    if (!this.changed || !this.box.open) return;
    this.changed = false;
    const shown = this.shown;
    this.count.textContent = shown.length;
    this.box.classList.toggle("many", shown.length > 1);
    shown.slice(0, this.most).forEach((place, index) => {
      place.chart ||= this.make(place);
      if (this.grid.children[index] !== place.chart) this.grid.insertBefore(place.chart, this.grid.children[index] || null);
    });
    for (const chart of [...this.grid.children].slice(Math.min(this.most, shown.length))) chart.remove();
    this.more(shown.length - this.most);
  }

  make(place) {
    const chart = document.createElement("metric-chart");
    chart.names = place.names;
    chart.build(this.board, titled(place.title), this.name, place.key);
    return chart;
  }

  more(left) {
    if (left <= 0) return;
    const show = () => {
      this.most += CHARTS;
      this.changed = true;
      this.board.later();
    };
    this.grid.append(element("p", { className: "empty more" }, element("button", { type: "button", textContent: ngettext("Show more of the %(count)s chart left", "Show more of the %(count)s charts left", left), onclick: show })));
  }

  // A chart changes places with the one before (-1) or after it (1).
  move(key, by) {
    const keys = this.shown.slice(0, this.most).map((one) => one.key);
    const at = keys.indexOf(key);
    if (at + by < 0 || at + by >= keys.length) return;
    [keys[at], keys[at + by]] = [keys[at + by], keys[at]];
    this.changed = true;
    const mine = new Set(keys);
    change({ order: [...options.order.filter((one) => !mine.has(one)), ...keys] });
  }
}

class MetricBoard extends HTMLElement {
  connectedCallback() {
    this.id ||= `board-${this.dataset.only || "all"}`;
    this.icons = document.querySelector(".icon use").getAttribute("href").split("#")[0];
    this.store = SeriesStore.of(this.dataset.source);
    this.clear();
    this.store.addEventListener("change", () => this.later());
    addEventListener("themechange", () => this.redraw());
    addEventListener("chartoptions", ({ detail }) => (detail.anew ? this.anew() : this.redraw()));
    this.later();
  }

  clear() {
    for (const chart of this.charts || []) chart.u?.destroy();
    for (const group of this.groups?.values() || []) group.box.remove();
    this.groups = new Map();
    this.known = new Set();
    this.most = GROUPS;
  }

  anew() {
    this.clear();
    this.later();
  }

  get charts() {
    return this.querySelectorAll("metric-chart");
  }

  later() {
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      this.layout();
      for (const chart of this.charts) chart.update();
    });
  }

  redraw() {
    for (const chart of this.charts) {
      chart.shape = "";
      chart.unzoom();
    }
    this.later();
  }

  mine(name) {
    return (this.dataset.only === "system") === name.startsWith("system/") && matches(name);
  }

  layout() {
    for (const name of this.store.series.keys()) {
      if (this.known.has(name) || !this.mine(name)) continue;
      this.known.add(name);
      this.group(placed(name).group).take(name);
    }
    this.place();
    for (const group of this.groups.values()) if (group.box.isConnected) group.fill();
    this.tell();
  }

  group(name) {
    if (!this.groups.has(name)) this.groups.set(name, new ChartGroup(this, name));
    return this.groups.get(name);
  }

  place() {
    const groups = [...this.groups.values()].sort((one, two) => rank(one.name) - rank(two.name) || before(one.name, two.name));
    groups.slice(0, this.most).forEach((group, index) => {
      const boxes = this.querySelectorAll(":scope > .chart-group");
      if (boxes[index] !== group.box) this.insertBefore(group.box, boxes[index] || null);
      group.box.classList.toggle("alone", groups.length === 1);
    });
  }

  // What is not shown, and how to see it.
  tell() {
    if (this.known.size) this.querySelector(":scope > .empty")?.remove();
    const hidden = options.hidden.filter((key) => [...this.groups.values()].some((group) => group.wanted.has(key)));
    const said = JSON.stringify([hidden, this.groups.size, this.most, filtered() && !this.known.size]);
    if (said === this.said) return; // a button that is made anew with every point can't be pressed
    this.said = said;
    this.querySelector(":scope > .told")?.remove();
    const told = element("p", { className: "told" });
    const button = (textContent, onclick) => told.append(element("button", { type: "button", className: "quiet", textContent, onclick }));
    if (hidden.length) button(ngettext("Show %(count)s hidden chart", "Show %(count)s hidden charts", hidden.length), () => change({ hidden: options.hidden.filter((key) => !hidden.includes(key)) }, true));
    if (this.groups.size > this.most) button(ngettext("Show more of the %(count)s group left", "Show more of the %(count)s groups left", this.groups.size - this.most), () => { this.most += GROUPS; this.later(); });
    if (filtered() && !this.known.size) told.append(gettext("No metric of this name."));
    if (told.childNodes.length) this.append(told);
  }

  move(chart, by) {
    this.groups.get(chart.group).move(chart.key, by);
  }

  hide(chart) {
    this.groups.get(chart.group).changed = true;
    change({ hidden: [...options.hidden, chart.key] });
  }
}

customElements.define("metric-board", MetricBoard);
