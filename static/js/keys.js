// Shortcuts: `?` shows them, `/` goes to the search, `g` and a letter to a page, `j` and `k` through the rows of a table.
(() => {
  const dialog = document.getElementById("keys");
  const ROWS = "main table tbody tr, main .cards > li, main .places > li";
  let before = "";

  function typing(target) {
    const boxes = ["checkbox", "radio", "button", "submit"];
    return target.isContentEditable || ["TEXTAREA", "SELECT"].includes(target.tagName) || (target.tagName === "INPUT" && !boxes.includes(target.type));
  }

  function search() {
    const field = [...document.querySelectorAll('main input[type="search"]')].find((one) => one.offsetParent);
    field?.focus();
    return Boolean(field);
  }

  // The link that opens a row, for each row that has one.
  function links() {
    return [...document.querySelectorAll(ROWS)].map((row) => row.querySelector("a[href]")).filter((link) => link?.offsetParent);
  }

  function step(by) {
    const all = links();
    const row = document.activeElement?.closest(ROWS);
    const at = row ? all.findIndex((link) => row.contains(link)) : by > 0 ? -1 : all.length;
    all[Math.max(0, Math.min(all.length - 1, at + by))]?.focus();
  }

  const act = {
    "?": () => dialog.showModal(),
    "/": search,
    j: () => step(1),
    k: () => step(-1),
    x: () => document.activeElement?.closest(ROWS)?.querySelector('input[type="checkbox"]')?.click(),
    t: () => document.querySelector("[data-theme-button]")?.click(),
  };

  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target) || document.querySelector("dialog[open]")) return;
    const page = before === "g" && dialog.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
    before = event.key;
    if (page) location.assign(page.href);
    else if (Object.hasOwn(act, event.key) && act[event.key]() !== false) event.preventDefault();
  });
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
})();
