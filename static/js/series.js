// The series of a job in the browser: what the server sent, by metric and attempt, and what the socket adds to it.
const LOT = 40; // series of one request, where charts ask for their own
const MOST = 8000; // points of one series; beyond that the whole is fetched anew, condensed

class SeriesStore extends EventTarget {
  static stores = new Map();

  static of(source) {
    if (!this.stores.has(source)) this.stores.set(source, new SeriesStore(source).begin());
    return this.stores.get(source);
  }

  constructor(source) {
    super();
    this.source = source;
    this.clear();
    this.waiting = []; // blocks that came before the first answer
  }

  begin() {
    addEventListener("journal", ({ detail }) => this.heard(detail));
    addEventListener("checkpoints", () => this.seq >= 0 && this.load(this.seq));
    this.load();
    return this;
  }

  clear() {
    this.seq = -1;
    this.series = new Map();
    this.attempts = [];
    this.start = Infinity;
    this.lazy = new Set(); // names of series that are fetched when a chart of theirs is looked at
    this.asked = new Set(); // of them those on their way,
    this.late = []; // and what was heard meanwhile
    this.queue = [];
    this.upto = new Map(); // fetched later than the rest: by name, how far
  }

  heard(news) {
    if (news.type === "points" && this.seq >= 0) this.add(news.blocks, news.seq);
    else if (news.type === "points") {
      this.waiting.push(news);
      if (!this.loading) this.load(); // the first answer never came
    } else this.load(news.type === "poll" ? this.seq : -1);
  }

  // Fetch all (after < 0) or what is past `after`. One at a time; a request meanwhile is made good afterwards.
  async load(after = -1) {
    if (this.loading) {
      this.again = Math.min(after, this.again ?? after);
      return;
    }
    this.loading = true;
    try {
      const response = await fetch(after < 0 ? this.source : `${this.source}?after=${after}`, { headers: { Accept: "application/json" } });
      if (response.ok) this.answered(await response.json(), after);
      else if (response.status >= 500) throw new Error(`the server said ${response.status}`);
    } catch (error) {
      console.warn("The series could not be read; tried again in 3 s.", error);
      setTimeout(() => this.load(after < 0 ? -1 : this.seq), 3000);
    }
    this.loading = false;
    if (this.again !== undefined) {
      const next = this.again;
      this.again = undefined;
      this.load(next < 0 ? -1 : this.seq);
    }
  }

  answered(answer, after) {
    if (after < 0 || answer.names) this.clear();
    for (const name of answer.names || []) {
      this.lazy.add(name);
      this.series.set(name, new Map());
    }
    this.attempts = answer.attempts;
    this.add(answer.blocks, answer.seq);
    for (const news of this.waiting.splice(0)) this.add(news.blocks, news.seq);
  }

  // Add blocks, of them only what is past what we have: no point is missing, none is doubled.
  add(blocks, seq) {
    let crowded = false;
    const have = this.seq;
    for (const block of blocks) {
      const first = beyond(block, have);
      if (first < 0) continue;
      if (this.asked.size) this.late.push({ block, first });
      this.start = Math.min(this.start, block.time[0]);
      if (!this.attempts.some((one) => one.number === block.attempt)) this.unknown = true;
      block.names.forEach((name, index) => {
        if (this.lazy.has(name)) return;
        const begin = this.upto.get(name) > have ? beyond(block, this.upto.get(name)) : first;
        crowded = (begin >= 0 && this.append(name, block, index, begin) > MOST) || crowded;
      });
    }
    this.seq = Math.max(this.seq, seq);
    this.dispatchEvent(new Event("change"));
    if (crowded || this.unknown) {
      this.unknown = false;
      this.load();
    }
  }

  // Have these series fetched that are not here yet; false if all are.
  want(names) {
    const missing = names.filter((name) => this.lazy.has(name));
    for (const name of missing) {
      if (!this.asked.has(name)) this.queue.push(name);
      this.asked.add(name);
    }
    if (this.queue.length) this.soon ||= setTimeout(() => this.fetchLots(), 50);
    return missing.length > 0;
  }

  async fetchLots() {
    while (this.queue.length) {
      const { asked, queue } = this; // others once everything is fetched anew
      const lot = queue.splice(0, LOT);
      const query = new URLSearchParams(lot.map((name) => ["name", name]));
      try {
        const response = await fetch(`${this.source}?${query}`, { headers: { Accept: "application/json" } });
        if (!response.ok) throw new Error(`the server said ${response.status}`);
        const answer = await response.json();
        if (asked === this.asked) this.lotTake(lot, answer);
      } catch (error) {
        console.warn("Some series could not be read; tried again in 3 s.", error);
        queue.unshift(...lot);
        await new Promise((done) => setTimeout(done, 3000));
      }
    }
    this.soon = 0;
  }

  // The answer may be older or newer than what is here: what was heard meanwhile is added, what it has already is left out later.
  lotTake(lot, { blocks, seq }) {
    const mine = new Set(lot);
    for (const name of lot) {
      this.lazy.delete(name);
      this.asked.delete(name);
      this.upto.set(name, seq);
    }
    const take = (block, begin) => {
      if (begin < 0) return;
      this.start = Math.min(this.start, block.time[0]);
      block.names.forEach((name, index) => mine.has(name) && this.append(name, block, index, begin));
    };
    for (const block of blocks) take(block, 0);
    for (const { block, first } of this.late) take(block, beyond(block, seq) < 0 ? -1 : Math.max(first, beyond(block, seq)));
    if (!this.asked.size) this.late = [];
    this.dispatchEvent(new Event("change"));
  }

  append(name, block, index, first) {
    if (!this.series.has(name)) this.series.set(name, new Map());
    const attempts = this.series.get(name);
    if (!attempts.has(block.attempt)) attempts.set(block.attempt, { step: [], epoch: [], time: [], value: [], low: [], high: [], mark: [] });
    const to = attempts.get(block.attempt);
    for (let row = first; row < block.seq.length; row++) {
      const value = block.values[index][row];
      const finite = typeof value === "number";
      to.step.push(block.step[row]);
      to.epoch.push(block.epoch[row]);
      to.time.push(block.time[row]);
      to.value.push(finite ? value : null);
      to.low.push(block.low ? number(block.low[index][row]) : finite ? value : null);
      to.high.push(block.high ? number(block.high[index][row]) : finite ? value : null);
      to.mark.push(finite ? (block.bad?.[index][row] ? "NaN" : "") : value);
    }
    if (block.low) to.condensed = true;
    return to.value.length;
  }

  // How far an attempt's points count: a later attempt that resumed replaced what was beyond.
  limit(number) {
    const later = this.attempts.filter((one) => one.number > number);
    const anew = later.some((one) => one.resumed_step === null && one.resumed_epoch === null);
    const least = (key) => Math.min(Infinity, ...later.map((one) => one[key]).filter((value) => value !== null));
    return anew ? { step: -1, epoch: 0 } : { step: least("resumed_step"), epoch: least("resumed_epoch") };
  }

  // One metric along an axis: {x, y, low, high} of points that count, `old` of replaced ones, `marks` of what is not finite.
  line(name, axis) {
    const points = [];
    const old = [];
    for (const [attempt, data] of [...(this.series.get(name) || [])].sort((one, two) => one[0] - two[0])) {
      const limit = this.limit(attempt);
      const along = this.along(axis, attempt, data);
      data.value.forEach((value, i) => {
        const counts = data.step[i] >= 0 && limit.step < Infinity ? data.step[i] <= limit.step : data.epoch[i] <= limit.epoch;
        (counts ? points : old).push({ x: along(i), y: value, low: data.low[i], high: data.high[i], mark: data.mark[i], attempt });
      });
    }
    const condensed = [...(this.series.get(name)?.values() || [])].some((data) => data.condensed);
    return { ...columns(points), old: columns(old), condensed, marks: points.filter((one) => one.mark) };
  }

  along(axis, attempt, data) {
    const about = this.attempts.find((one) => one.number === attempt) || {};
    if (axis === "time") return (i) => data.time[i] - this.start;
    if (axis === "wall") return (i) => data.time[i];
    const pace = about.total_steps && about.total_epochs ? about.total_epochs / about.total_steps : 0;
    if (axis === "epoch") return (i) => (pace && data.step[i] >= 0 ? data.step[i] * pace : Math.max(0, data.epoch[i]));
    return (i) => (data.step[i] >= 0 ? data.step[i] : i);
  }

  // What happened along an axis besides the values: attempts after the first, checkpoints, the best epoch.
  happened(axis) {
    const found = [];
    for (const one of this.attempts) {
      const pace = one.total_steps && one.total_epochs ? one.total_epochs / one.total_steps : 0;
      const at = (kind, step, epoch, time) => {
        const epochs = epoch ?? (pace && step !== null ? step * pace : null);
        const steps = step ?? (pace && epoch !== null ? epoch / pace : null);
        const x = { step: steps, epoch: epochs, time: time === null ? null : time - this.start, wall: time }[axis];
        if (x !== null && Number.isFinite(x)) found.push({ kind, x });
      };
      if (one.number > 1) at("attempt", one.resumed_step ?? (one.resumed_epoch === null ? 0 : null), one.resumed_epoch ?? (one.resumed_step === null ? 0 : null), one.opened ?? null);
      for (const file of one.checkpoints || []) at("checkpoint", file.step, file.epoch, file.time);
      if ((one.best_epoch ?? null) !== null) at("best", null, one.best_epoch, null);
    }
    return found;
  }

  // The same window for the server: the axis it knows, and bounds a little wider, so that lines go on to the edges.
  window(axis, low, high) {
    const paces = new Set(this.attempts.map((one) => one.total_epochs / one.total_steps || 0));
    const pace = paces.size === 1 ? [...paces][0] : 0;
    const margin = (high - low) / 20;
    const [start, end] = [low - margin, high + margin];
    if (axis === "wall") return { axis: "time", start, end };
    if (axis === "time") return { axis, start: start + this.start, end: end + this.start };
    if (axis === "epoch" && pace) return { axis: "step", start: start / pace, end: end / pace };
    return { axis, start, end };
  }

  latest(name) {
    const attempts = this.series.get(name);
    const data = attempts && attempts.get(Math.max(...attempts.keys()));
    const last = data ? data.value.length - 1 : -1;
    return last < 0 ? null : data.value[last] ?? data.mark[last];
  }
}

// What one chart shows of a window, in detail. It is what it is: another window is another one.
class SeriesWindow extends SeriesStore {
  static async of(store, names, axis, low, high, width, signal) {
    const query = new URLSearchParams({ ...store.window(axis, low, high), width });
    for (const name of names) query.append("name", name);
    const response = await fetch(`${store.source}?${query}`, { headers: { Accept: "application/json" }, signal });
    if (!response.ok) throw new Error(`The window could not be read: ${response.status}`);
    const found = new SeriesWindow(store.source);
    found.answered(await response.json(), -1);
    found.start = store.start;
    return found;
  }

  load() {} // nothing more to come
}

// The first row of a block past a record; -1 if there is none.
function beyond(block, seq) {
  return block.seq.findIndex((one) => one > seq);
}

function number(value) {
  return typeof value === "number" ? value : null;
}

// Points in order of x, the last of equal ones; a gap where another attempt begins.
function columns(points) {
  const out = { x: [], y: [], low: [], high: [] };
  points.sort((one, two) => one.x - two.x || one.attempt - two.attempt);
  let before = null;
  for (const point of points) {
    if (before && before.attempt !== point.attempt && point.x > before.x) put(out, { x: (before.x + point.x) / 2, y: null, low: null, high: null });
    if (before && before.x === point.x) for (const key of Object.keys(out)) out[key].pop();
    put(out, point);
    before = point;
  }
  return out;
}

function put(out, point) {
  for (const key of Object.keys(out)) out[key].push(point[key]);
}

Object.assign(globalThis, { SeriesStore, SeriesWindow });
