// A search in a log of any length, asked for in parts so that none takes long: where the next hit is, then how many there are.
/* global gettext */
class LogSearch {
  // `part(query)` asks for one part and fails once the search is over; `say(text)` tells how far it is.
  constructor(part, say) {
    Object.assign(this, { part, say, moved: 0, from: "", count: 0, before: 0, lines: 0, reached: "0.0" });
  }

  static past(one, other) {
    const [seq, n] = one.split(".").map(Number);
    const [otherSeq, otherN] = other.split(".").map(Number);
    return seq > otherSeq || (seq === otherSeq && n > otherN);
  }

  // The nearest hit beyond `origin`, or before it, round the end where it has to be; nothing if there is none.
  async next(origin, back) {
    let round = false;
    let lines = 0;
    for (let from = origin; ; ) {
      const found = await this.part({ origin: from, ...(back ? { back: "yes" } : {}) });
      if (found.at) return this.moveTo(found.at, back);
      from = found.reached;
      if (round && (found.done || (back ? LogSearch.past(origin, from) : LogSearch.past(from, origin)))) return "";
      if (found.done) {
        round = true;
        from = "";
      }
      lines += found.lines;
      this.say(gettext("… %(lines)s lines searched", { lines: lines.toLocaleString("en") }));
    }
  }

  moveTo(place, back) {
    if (this.from) this.moved += back ? -1 : 1;
    this.from ||= place;
    return place;
  }

  // Which of the hits it is: counted once from the start, then moved along with every step, and on to what came since.
  async counted() {
    for (let done = false; !done; ) {
      const found = await this.part({ count: "yes", origin: this.reached, before: this.from });
      for (const figure of ["count", "before", "lines"]) this[figure] += found[figure];
      ({ done, reached: this.reached } = found);
      const [count, lines] = [this.count, this.lines].map((figure) => figure.toLocaleString("en"));
      if (!done) this.say(gettext("%(count)s+ hits, %(lines)s lines searched", { count, lines }));
    }
    this.before = (((this.before + this.moved) % this.count) + this.count) % this.count;
    this.moved = 0;
    this.say(gettext("%(index)s of %(count)s", { index: this.before + 1, count: this.count }));
  }
}

globalThis.LogSearch = LogSearch;
