// The quick test: a picture that is dropped is sent, and a slider hides what the model is less sure of.
/* global gettext */
(() => {
  function filter(slider) {
    const root = slider.closest(".inference");
    const least = Number(slider.value);
    let shown = 0;
    root.querySelector("output").textContent = least.toFixed(2);
    for (const one of root.querySelectorAll("[data-score]")) one.classList.toggle("under", Number(one.dataset.score) < least);
    const rows = root.querySelectorAll("tr[data-score]");
    for (const row of rows) shown += row.classList.contains("under") ? 0 : 1;
    root.querySelector("[data-shown]").textContent = gettext("%(shown)s of %(all)s shown", { shown, all: rows.length });
  }

  function sliders() {
    for (const slider of document.querySelectorAll("[data-threshold]")) filter(slider);
  }

  function send(form) {
    const input = form.querySelector("input[type=file]");
    const file = input.files[0];
    if (!file) return;
    const most = Number(input.dataset.most);
    if (file.size > most * 1024 * 1024) {
      let said = form.parentElement.querySelector(".wrong-picture");
      if (!said) {
        said = document.createElement("p");
        said.className = "wrong-picture";
        said.setAttribute("role", "alert");
        form.after(said);
      }
      said.textContent = gettext("%(file)s is larger than %(most)s MiB.", { file: file.name, most });
      input.value = "";
      return;
    }
    form.requestSubmit();
  }

  const dropped = (event) => event.target.closest?.("[data-drop]");
  document.addEventListener("input", (event) => { if (event.target.matches("[data-threshold]")) filter(event.target); });
  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-drop] input[type=file]")) send(event.target.form);
  });
  for (const name of ["dragenter", "dragover"]) {
    document.addEventListener(name, (event) => {
      const form = dropped(event);
      if (!form) return;
      event.preventDefault();
      form.classList.add("over");
    });
  }
  document.addEventListener("dragleave", (event) => dropped(event)?.classList.remove("over"));
  document.addEventListener("drop", (event) => {
    const form = dropped(event);
    if (!form) return;
    event.preventDefault();
    form.classList.remove("over");
    if (!event.dataTransfer.files.length) return;
    form.querySelector("input[type=file]").files = event.dataTransfer.files;
    send(form);
  });
  document.addEventListener("DOMContentLoaded", () => {
    sliders();
    document.body.addEventListener("htmx:afterSettle", sliders);
  });
})();
