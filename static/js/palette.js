// <command-palette>: Ctrl-K or ⌘K, some letters, Enter. A combobox whose list the server fills; without scripts its button is a link to a page.
/* global gettext, ngettext */
(() => {
  const WAIT = 120; // ms after the last letter

  class CommandPalette extends HTMLElement {
    connectedCallback() {
      this.dialog = document.createElement("dialog");
      this.dialog.className = "palette";
      this.dialog.setAttribute("aria-label", gettext("Go to"));
      const [label, hint, places] = [gettext("Go to a page, job, dataset or project"), gettext("Go to a page, job, dataset, project …"), gettext("Places")];
      this.dialog.innerHTML = `
        <input type="text" role="combobox" aria-expanded="true" aria-controls="palette-places" aria-autocomplete="list"
               aria-label="${label}" placeholder="${hint}"
               maxlength="120" autocomplete="off" spellcheck="false">
        <ul id="palette-places" role="listbox" aria-label="${places}"></ul>
        <p class="palette-said muted" role="status"></p>`;
      this.append(this.dialog);
      [this.field, this.list, this.said] = this.dialog.children;
      this.field.addEventListener("input", () => this.later());
      this.field.addEventListener("keydown", (event) => this.pressed(event));
      this.list.addEventListener("click", (event) => this.go(event.target.closest("li"), event));
      this.list.addEventListener("mousemove", (event) => this.choose(event.target.closest("li")));
      this.dialog.addEventListener("click", (event) => { if (event.target === this.dialog) this.dialog.close(); });
      this.dialog.addEventListener("close", () => this.asking?.abort());
      addEventListener("keydown", (event) => {
        if (!(event.ctrlKey || event.metaKey) || event.altKey || event.shiftKey || event.key.toLowerCase() !== "k") return;
        event.preventDefault(); // the browser's own search field
        this.toggle();
      });
      for (const button of document.querySelectorAll("[data-palette]")) {
        button.addEventListener("click", (event) => {
          if (event.ctrlKey || event.metaKey || event.shiftKey) return; // a page of its own, as with any link
          event.preventDefault();
          this.toggle();
        });
      }
    }

    toggle() {
      if (this.dialog.open) return this.dialog.close();
      if (document.querySelector("dialog[open]")) return undefined; // a question comes first
      this.field.value = "";
      this.list.replaceChildren();
      this.dialog.showModal();
      this.field.focus();
      return this.find();
    }

    later() {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.find(), WAIT);
    }

    async find() {
      clearTimeout(this.timer);
      this.timer = 0;
      this.asking?.abort();
      this.asking = new AbortController();
      try {
        const query = new URLSearchParams({ q: this.field.value });
        const answer = await fetch(`${this.dataset.source}?${query}`, { headers: { Accept: "application/json" }, signal: this.asking.signal });
        if (!answer.ok) throw new Error(answer.status === 401 ? gettext("Signed out: reload to sign in.") : gettext("The server does not answer."));
        this.show((await answer.json()).places);
      } catch (error) {
        if (error.name !== "AbortError") this.tell(error instanceof TypeError ? gettext("The server can't be reached.") : error.message);
      }
    }

    show(places) {
      this.list.replaceChildren(...places.map((place, index) => {
        const row = Object.assign(document.createElement("li"), { id: `palette-${index}` });
        row.setAttribute("role", "option");
        row.dataset.address = place.address;
        const part = (name, text) => row.append(Object.assign(document.createElement("span"), { className: name, textContent: text }), " ");
        part("palette-kind", place.kind);
        part("palette-name", place.name);
        if (place.where) part("palette-where", place.where);
        return row;
      }));
      this.choose(this.list.firstElementChild);
      this.tell(places.length ? ngettext("%(count)s found", "%(count)s found", places.length) : gettext("Nothing is called so."));
    }

    tell(text) {
      this.said.textContent = text;
      this.said.classList.toggle("visually-hidden", text.endsWith("found")); // who sees the list need not be told
    }

    choose(row) {
      if (!row || row === this.chosen) return;
      this.chosen?.setAttribute("aria-selected", "false");
      row.setAttribute("aria-selected", "true");
      row.scrollIntoView({ block: "nearest" });
      this.field.setAttribute("aria-activedescendant", row.id);
      this.chosen = row;
    }

    pressed(event) {
      const at = this.chosen?.isConnected ? this.chosen : null;
      const moves = { ArrowDown: at?.nextElementSibling || this.list.firstElementChild, ArrowUp: at?.previousElementSibling || this.list.lastElementChild };
      if (event.isComposing || !(event.key in moves || event.key === "Enter")) return;
      event.preventDefault();
      if (event.key === "Enter") this.enter(event);
      else this.choose(moves[event.key]);
    }

    // Who types and presses Enter at once means what was typed, not what was listed before.
    async enter(event) {
      if (this.timer) await this.find();
      this.go(this.list.querySelector('[aria-selected="true"]'), event);
    }

    go(row, event) {
      if (!row) return;
      if (event.ctrlKey || event.metaKey) open(row.dataset.address, "_blank", "noopener");
      else location.assign(row.dataset.address);
    }
  }

  customElements.define("command-palette", CommandPalette);
})();
