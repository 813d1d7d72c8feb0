// The table of jobs: filters that apply by themselves, rows chosen and counted, questions in a dialog.
/* global ngettext */
(() => {
  const form = document.getElementById("bulk");
  const bar = document.getElementById("bulk-bar");
  const all = document.getElementById("pick-all");
  const dialog = document.getElementById("bulk-dialog");
  const picks = () => [...document.querySelectorAll('#job-rows input[name="job"]')];

  function count() {
    if (!bar) return;
    const boxes = picks();
    const chosen = boxes.filter((box) => box.checked).length;
    bar.hidden = !chosen;
    const compare = bar.querySelector("[data-compare]");
    if (compare) compare.disabled = chosen < 2 || chosen > 50;
    document.getElementById("bulk-count").textContent = ngettext("%(count)s chosen", "%(count)s chosen", chosen);
    all.checked = chosen > 0 && chosen === boxes.length;
    all.indeterminate = chosen > 0 && chosen < boxes.length;
  }

  // What a form leaves empty does not belong into the address.
  const filters = document.querySelector("[data-submits]");
  function tidy() {
    for (const field of filters.elements) if (field.name && !field.value) field.disabled = true;
  }
  function untidy() {
    for (const field of filters?.elements || []) field.disabled = false;
  }
  filters?.addEventListener("submit", tidy);
  filters?.addEventListener("change", (event) => {
    if (event.target.name === "project") filters.elements.experiment?.remove?.();
    if (event.target.tagName === "SELECT") filters.requestSubmit();
  });
  addEventListener("pageshow", () => { untidy(); count(); }); // back: the browser may show the page as it was left

  // One menu at a time, and none once something else is touched.
  document.addEventListener("click", (event) => {
    for (const menu of document.querySelectorAll("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") for (const menu of document.querySelectorAll("details.menu[open]")) menu.open = false;
  });

  if (all) {
    all.hidden = false;
    all.addEventListener("change", () => { for (const box of picks()) box.checked = all.checked; count(); });
  }
  form?.addEventListener("change", count);
  // A comparison is a page of its own, whose address can be sent.
  bar?.querySelector("[data-compare]")?.addEventListener("click", (event) => {
    event.preventDefault();
    const chosen = picks().filter((box) => box.checked).map((box) => box.value);
    location.assign(`${event.currentTarget.dataset.compare}?jobs=${chosen.join(",")}`);
  });
  document.body.addEventListener("htmx:afterSwap", ({ target }) => {
    if (target.id === "bulk-body" && target.childElementCount) dialog.showModal();
    if (target.id === "job-rows") count();
  });
  document.body.addEventListener("jobsnewer", () => { document.getElementById("jobs-newer").hidden = false; });
  // In the dialog a way back only closes it.
  dialog?.addEventListener("click", (event) => { if (event.target.closest("a[data-closes]")) event.preventDefault(); });
  count();
})();
