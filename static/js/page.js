// The page's language: `words` is there on pages that are not in English, made of platform_site/locale/*/djangojs.po.
// Values stand in a text as %(name)s.
(() => {
  const known = globalThis.words || {};
  const filled = (text, values) => text.replace(/%\((\w+)\)s/g, (place, name) => values[name] ?? place);
  globalThis.gettext = (text, values = {}) => filled(known[text] || text, values);
  globalThis.ngettext = (one, many, count, values = {}) => {
    const forms = known[one] || [one, many];
    return filled(forms[count === 1 ? 0 : forms.length - 1], { count, ...values });
  };
})();

// What every page shares: the theme button, times that tell how long ago, dialogs.
(() => {
  const dark = matchMedia("(prefers-color-scheme: dark)");

  function themeToggle() {
    const root = document.documentElement;
    const now = root.dataset.theme || (dark.matches ? "dark" : "light");
    root.dataset.theme = now === "dark" ? "light" : "dark";
    localStorage.setItem("theme", root.dataset.theme);
    dispatchEvent(new Event("themechange"));
  }

  // Seconds as 42 s, 3 min 05 s, 2 h 14 min, 3 d 4 h: the same words as the server's `duration` filter.
  function duration(seconds) {
    const s = Math.max(0, Math.round(seconds));
    const two = (n) => String(n).padStart(2, "0");
    const [days, hours, minutes] = [86400, 3600, 60].map((size) => Math.floor(s / size));
    if (s < 60) return gettext("%(seconds)s s", { seconds: s });
    if (s < 3600) return gettext("%(minutes)s min %(seconds)s s", { minutes, seconds: two(s % 60) });
    if (s < 86400) return gettext("%(hours)s h %(minutes)s min", { hours, minutes: two(minutes % 60) });
    return gettext("%(days)s d %(hours)s h", { days, hours: hours % 24 });
  }

  function ago(seconds) {
    if (seconds < 45) return gettext("just now");
    if (seconds < 3600) return gettext("%(count)s min ago", { count: Math.max(1, Math.round(seconds / 60)) });
    if (seconds < 86400) return gettext("%(count)s h ago", { count: Math.round(seconds / 3600) });
    return gettext("%(count)s d ago", { count: Math.round(seconds / 86400) });
  }

  // The server's clock counts: a browser's may be wrong by minutes.
  const skew = Number(document.querySelector("[data-now]")?.dataset.now || Date.now() / 1000) - Date.now() / 1000;

  function write(element, text) {
    if (element.textContent !== text) element.textContent = text;
  }

  function tick() {
    const now = Date.now() / 1000 + skew;
    for (const element of document.querySelectorAll("[data-since]")) write(element, duration(now - element.dataset.since));
    for (const element of document.querySelectorAll("[data-until]")) write(element, duration(element.dataset.until - now));
    for (const element of document.querySelectorAll("[data-ago]")) write(element, ago(now - element.dataset.ago));
  }

  addEventListener("DOMContentLoaded", () => {
    for (const button of document.querySelectorAll("[data-theme-button]")) {
      button.hidden = false;
      button.addEventListener("click", themeToggle);
    }
    for (const button of document.querySelectorAll("[data-copies]")) button.hidden = false;
    tick();
    setInterval(tick, 1000);
    document.body.addEventListener("htmx:afterSettle", tick);
    document.body.addEventListener("htmx:oobAfterSwap", tick);
  });
  // A button that copies; where the browser keeps the clipboard from pages, the text is selected instead.
  async function copy(button) {
    const source = document.getElementById(button.dataset.copies);
    const label = button.querySelector("span");
    try {
      await navigator.clipboard.writeText(source.textContent);
      label.textContent = gettext("Copied");
    } catch {
      getSelection().selectAllChildren(source);
      label.textContent = gettext("Selected");
    }
    setTimeout(() => { label.textContent = gettext("Copy"); }, 1500);
  }

  document.addEventListener("click", (event) => {
    const asker = event.target.closest("[data-asks]");
    if (asker && !confirm(asker.dataset.asks)) event.preventDefault();
    const copier = event.target.closest("[data-copies]");
    if (copier) copy(copier);
    const opener = event.target.closest("[data-opens]");
    if (opener) document.getElementById(opener.dataset.opens)?.showModal();
    if (event.target.closest("[data-closes]")) event.target.closest("dialog")?.close();
  });
  dark.addEventListener("change", () => dispatchEvent(new Event("themechange")));
})();
