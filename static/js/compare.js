// <compare-chart>: one metric of some jobs over each other, each fetched as the window that is shown.
/* global SeriesWindow */
const tools = document.getElementById("compare-tools");
const { jobs } = JSON.parse(tools.dataset.drawn);
tools.addEventListener("change", () => tools.requestSubmit());

// The series of several jobs, each under its job's number, in the form in which a chart reads those of one.
class JobsSeries {
  stores = new Map();

  constructor(metric) {
    this.metric = metric;
  }

  async load(job, axis) {
    const query = new URLSearchParams({ axis, width: 500, name: this.metric });
    const answer = await fetch(`${job.source}?${query}`, { headers: { Accept: "application/json" } });
    if (!answer.ok) throw new Error(`job ${job.id} could not be read: ${answer.status}`);
    const store = new SeriesWindow(job.source);
    store.answered(await answer.json(), -1);
    this.stores.set(String(job.id), store);
  }

  line(name, axis) {
    return this.stores.get(name).line(this.metric, axis);
  }

  latest(name) {
    return this.stores.get(name).latest(this.metric);
  }

  happened() {
    return [];
  }

  get series() {
    return this.stores;
  }

  detail = async (names, ...window) => {
    const found = new JobsSeries(this.metric);
    await Promise.all(names.map(async (name) => found.stores.set(name, await SeriesWindow.of(this.stores.get(name), [this.metric], ...window))));
    return found;
  };
}

class CompareChart extends HTMLElement {
  async connectedCallback() {
    const { metric, axis } = this.dataset;
    if (!metric) return;
    this.id ||= "compare";
    this.icons = document.querySelector(".icon use").getAttribute("href").split("#")[0];
    this.store = new JobsSeries(metric);
    const chart = document.createElement("metric-chart");
    chart.build(this, metric, "");
    this.append(chart);
    chart.none(true, true); // until all are here
    const outcomes = await Promise.allSettled(jobs.map((job) => this.store.load(job, axis)));
    for (const one of outcomes) if (one.reason) console.warn("A job is missing in the chart.", one.reason);
    chart.names = jobs.map((job) => String(job.id)).filter((id) => this.store.stores.has(id));
    chart.update();
    addEventListener("themechange", () => chart.update());
  }

  about(name) {
    const index = jobs.findIndex((job) => String(job.id) === name);
    return { label: jobs[index].name, dashed: Math.floor(index / 8) % 2 === 1 };
  }
}

customElements.define("compare-chart", CompareChart);
