// The log on a job page: holds some hundred of its lines, fetches others by number as they are scrolled to, follows the end.
/* global LogSearch, gettext */
(() => {
  const ROWS = 300;
  const EDGE = 60; // lines left before more are fetched
  const MOST = 1000; // lines held while following the end
  const TALLEST = 8e6; // pixels; browsers end at some 17 million
  const form = document.getElementById("log-filter");
  const box = document.getElementById("log-window");
  const view = document.getElementById("log-view");
  const list = document.getElementById("log-lines");
  const follow = document.getElementById("log-follow");
  const hits = document.getElementById("log-hits");
  const wrap = document.getElementById("log-wrap");
  let start = 0; // the number of the first line that is held
  let total = list.childElementCount;
  let following = true;
  let newest = "0.0"; // the last line that was heard of
  let at = ""; // the line that a hit or a link names
  let asked = 0;
  let busy = false;
  let skipped = false;
  let tally = null; // the search that goes on, with what it has counted
  let searching = 0;
  let lastTop = 0; // where the view was scrolled to: only a person scrolls up from there

  const end = () => start + list.childElementCount;
  const row = () => Math.min(list.firstElementChild?.offsetHeight || 19, 24, TALLEST / Math.max(1, total)); // of a line that is not held
  const { past } = LogSearch;
  const wanted = () => new URLSearchParams({ level: form.level.value, source: form.source.value });
  const lineAt = (place) => list.querySelector(`[data-at="${CSS.escape(place)}"]`);

  async function ask(address, query) {
    const response = await fetch(`${address}?${query}`, { headers: { Accept: "application/json" } });
    if (!response.ok) throw new Error(`the log could not be read: ${response.status}`);
    return response.json();
  }

  function space() {
    list.style.paddingTop = `${start * row()}px`;
    list.style.paddingBottom = `${Math.max(0, total - end()) * row()}px`;
    lastTop = view.scrollTop;
  }

  function mark() {
    const text = form.text.value.toLowerCase();
    for (const line of list.children) {
      line.classList.toggle("match", Boolean(text) && line.lastElementChild.textContent.toLowerCase().includes(text));
      line.classList.toggle("at", line.dataset.at === at);
    }
  }

  function put(rows) {
    list.innerHTML = rows.html; // rendered and escaped by the server
    start = rows.start;
    total = rows.total;
    const last = list.lastElementChild?.dataset.at;
    if (last && end() === total && past(last, newest)) newest = last;
    for (const nav of box.querySelectorAll(".log-nav")) nav.remove();
    document.getElementById("log-empty")?.remove();
    if (!total) view.after(Object.assign(document.createElement("p"), { className: "empty", id: "log-empty", textContent: gettext("No line of the log matches.") }));
    space();
    mark();
  }

  // Fetch rows and put them so that `place` tells: a line's new top in the view, or nothing to stay at the end.
  async function fetchRows(query, settle) {
    const mine = ++asked;
    busy = true;
    try {
      const rows = await ask(box.dataset.rows, new URLSearchParams([...wanted(), ...Object.entries({ count: ROWS, ...query })]));
      if (mine !== asked) return;
      const anchor = settle ? null : anchored();
      put(rows);
      if (settle) settle();
      else restore(anchor);
    } catch (error) {
      console.warn("The log stays as it is until the next scroll.", error);
    } finally {
      if (mine === asked) busy = false;
    }
    if (mine !== asked) return;
    followShow();
    if (following && (skipped || past(newest, list.lastElementChild?.dataset.at || "0.0"))) {
      skipped = true;
      toEndLater();
    }
  }

  // The first line in view and where it is, so that it can be there again among other lines.
  function anchored() {
    const top = view.getBoundingClientRect().top;
    const line = [...list.children].find((one) => one.getBoundingClientRect().bottom > top);
    return line && { at: line.dataset.at, top: line.getBoundingClientRect().top };
  }

  function restore(anchor) {
    const line = anchor && lineAt(anchor.at);
    if (line) view.scrollTop += line.getBoundingClientRect().top - anchor.top;
    lastTop = view.scrollTop;
  }

  function show(line, part = 0.3) {
    if (line) view.scrollTop += line.getBoundingClientRect().top - view.getBoundingClientRect().top - view.clientHeight * part;
    lastTop = view.scrollTop;
  }

  function bottom() {
    view.scrollTop = view.scrollHeight;
    lastTop = view.scrollTop;
  }

  function toEnd() {
    following = true;
    if (end() >= total && !skipped) bottom();
    else {
      skipped = false;
      fetchRows({ at: "end" }, bottom);
    }
    followShow();
  }

  let timer = 0;
  function toEndLater() {
    timer ||= setTimeout(() => { timer = 0; if (following) toEnd(); }, 300);
  }

  function followShow() {
    follow.hidden = following || !total;
  }

  // Which line numbers are seen, and whether others are needed for them.
  function scrolled() {
    const low = view.scrollTop;
    const high = low + view.clientHeight;
    const held = { top: parseFloat(list.style.paddingTop) || 0, bottom: list.scrollHeight - (parseFloat(list.style.paddingBottom) || 0) };
    const up = low < lastTop - 2;
    lastTop = low;
    if (end() >= total && view.scrollHeight - high < 40) following = true;
    else if (up) following = false;
    followShow();
    if (following) return;
    if (high < held.top || low > held.bottom) {
      const number = Math.floor(low < held.top ? low / row() : end() + (low - held.bottom) / row());
      jumpLater(number);
    } else if (!busy && ((start > 0 && low - held.top < EDGE * row()) || (end() < total && held.bottom - high < EDGE * row()))) {
      const middle = start + Math.round(((low - held.top) / Math.max(1, held.bottom - held.top)) * list.childElementCount);
      fetchRows({ start: Math.max(0, middle - ROWS / 2) });
    }
  }

  let jump = 0;
  function jumpLater(number) {
    clearTimeout(jump);
    jump = setTimeout(() => {
      const from = Math.max(0, number - ROWS / 2);
      fetchRows({ start: from }, () => show(list.children[Math.max(0, Math.min(list.childElementCount - 1, number - start))], 0));
    }, 80);
  }

  function goTo(place, query = { at: place }) {
    following = false;
    at = place;
    return fetchRows(query, () => show(lineAt(place) || list.querySelector(".l40")));
  }

  async function search(back = false) {
    const text = form.text.value;
    const mine = ++searching;
    hits.hidden = !text;
    if (!text) { leave(); return mark(); }
    const key = `${wanted()}&${text}`;
    if (tally?.key !== key) tally = Object.assign(new LogSearch(null, say), { key });
    const now = tally;
    now.part = async (query) => {
      const found = await ask(box.dataset.hits, new URLSearchParams([...wanted(), ["text", text], ...Object.entries(query)]));
      return mine === searching ? found : Promise.reject(new DOMException("another search has begun", "AbortError"));
    };
    try {
      const place = await now.next(at || anchored()?.at || "0.0", back);
      if (place) {
        await goTo(place);
        return mine === searching && (await now.counted());
      }
      leave();
      say(gettext("no hit"));
      mark();
    } catch (error) {
      if (error.name === "AbortError") return;
      say(gettext("not searched"));
      console.warn("The search failed; Enter tries again.", error);
    }
  }

  function say(text) {
    hits.firstElementChild.textContent = text;
  }

  // The search begins anew from here.
  function leave(place = "") {
    at = place;
    tally = null;
    searching++;
  }

  function matches(line) {
    return Number(line.dataset.level) >= Number(form.level.value) && (!form.source.value || line.dataset.source === form.source.value);
  }

  // Pushed lines: added where the end is held, else only counted.
  function heard({ detail }) {
    if (detail.target !== list) return;
    const lines = [...detail.fragment.querySelectorAll("li")];
    const known = newest;
    for (const line of lines) {
      if (line.dataset.skipped !== undefined) skipped = true;
      if (line.dataset.skipped !== undefined || !past(line.dataset.at, known) || !matches(line)) line.remove();
      if (line.dataset.at && past(line.dataset.at, newest)) newest = line.dataset.at;
    }
    const added = detail.fragment.querySelectorAll("li").length;
    const room = end() === total && !busy && !skipped && (following || list.childElementCount < 2 * MOST);
    if (!room) detail.shouldSwap = false;
    total += added;
    if (!room) space();
    if (following && !room) toEndLater();
  }

  function added({ detail }) {
    if (detail.target !== list) return;
    if (list.childElementCount) document.getElementById("log-empty")?.remove();
    while (following && list.childElementCount > MOST) {
      list.firstElementChild.remove();
      start++;
    }
    space();
    mark();
    if (following) bottom();
  }

  function linked(event) {
    const link = event.target.closest(".line-link");
    if (!link) return;
    event.preventDefault();
    leave(link.parentElement.dataset.at);
    history.replaceState(null, "", `#line-${at}`);
    mark();
  }

  let typing = 0;
  form.addEventListener("input", (event) => {
    if (event.target !== form.text) return;
    clearTimeout(typing);
    typing = setTimeout(() => { leave(); search(); }, 300);
  });
  form.addEventListener("change", (event) => {
    if (event.target.tagName === "SELECT") { leave(); newest = "0.0"; following = true; fetchRows({ at: "end" }, bottom).then(() => form.text.value && search()); }
  });
  form.addEventListener("submit", (event) => { event.preventDefault(); clearTimeout(typing); search(); });
  form.text.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && event.shiftKey) { event.preventDefault(); search(true); }
  });
  hits.addEventListener("click", ({ target }) => target.closest("button") && search(Boolean(target.closest("[data-back]"))));
  document.getElementById("log-error").addEventListener("click", (event) => { event.preventDefault(); leave(); goTo("", { at: "first-error" }); });
  follow.addEventListener("click", toEnd);
  list.addEventListener("click", linked);
  view.addEventListener("scroll", scrolled, { passive: true });
  wrap.hidden = false;
  wrap.firstElementChild.checked = localStorage.getItem("log-wrap") !== "no";
  function wrapped() {
    const anchor = anchored();
    view.classList.toggle("unwrapped", !wrap.firstElementChild.checked);
    localStorage.setItem("log-wrap", wrap.firstElementChild.checked ? "yes" : "no");
    if (following) bottom();
    else restore(anchor);
  }
  wrap.addEventListener("change", wrapped);
  document.body.addEventListener("htmx:oobBeforeSwap", heard);
  document.body.addEventListener("htmx:oobAfterSwap", added);
  addEventListener("journal", ({ detail }) => {
    if (detail.type === "leap") { skipped = true; if (following) toEndLater(); }
  });
  newest = list.lastElementChild?.dataset.at || newest;
  wrapped();
  if (location.hash.startsWith("#line-")) goTo(location.hash.slice(6)).then(() => box.scrollIntoView({ block: "center" }));
  else if (box.dataset.part === "yes") fetchRows({ at: "end" }, bottom);
})();
