// Shortcuts: `?` shows them, `/` goes to the search, `g` and a letter to a page.
(() => {
  const dialog = document.getElementById("keys");
  let before = "";

  function typing(target) {
    return target.isContentEditable || ["INPUT", "TEXTAREA", "SELECT"].includes(target.tagName);
  }

  function search() {
    const field = [...document.querySelectorAll('main input[type="search"]')].find((one) => one.offsetParent);
    field?.focus();
    return Boolean(field);
  }

  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target) || document.querySelector("dialog[open]")) return;
    const page = before === "g" && dialog.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
    before = event.key;
    if (page) location.assign(page.href);
    else if (event.key === "?") dialog.showModal();
    else if (event.key === "/" && search()) event.preventDefault();
  });
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
})();
