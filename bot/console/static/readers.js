// Who may read a document: everybody, or some who are named.

import { byId, el, hasWord, icon, listed, word } from "./dom.js";

const EVERYONE = "everyone";

/** What a reader is called: the name that is known, else how it is written. */
export function called(reader) {
  if (reader.value === EVERYONE) return word("docs_everyone");
  const role = `docs_${reader.value.replace(":", "_")}`; // role:admin
  return hasWord(role) ? word(role) : reader.label || reader.value;
}

/** The choice between everybody and some; `usual` says what everybody means here. */
export class Readers {
  #some = new Map(); // value -> label
  #node;

  constructor(place, usual = "") {
    this.#node = place;
    this.usual = usual;
    this.all = word("docs_readers_everyone"); // the label of the choice that names nobody
    this.set([{ value: EVERYONE, label: "" }]);
  }

  set(readers) {
    this.#some = new Map(readers.filter((one) => one.value !== EVERYONE).map((one) => [one.value, one.label]));
    this.open = !readers.some((one) => one.value === EVERYONE);
    this.#show();
  }

  /** What naming nobody means here: the readers that the settings give to a document. */
  set default(readers) {
    if (readers.every((one) => one === EVERYONE)) return;
    this.all = word("docs_readers_default", { names: listed(readers.map((value) => called({ value, label: "" }))) });
    this.#show();
  }

  /** [] = as usual; null = some are to be named, and none is. */
  get chosen() {
    if (!this.open) return [];
    this.#take();
    return this.#some.size ? [...this.#some.keys()] : null;
  }

  #show() {
    const name = `readers-${this.#node.id}`;
    const pick = (open, label) => {
      const radio = el("input", { type: "radio", name, checked: this.open === open });
      radio.addEventListener("change", () => {
        this.open = open;
        this.#show();
        if (open) this.#node.querySelector("input[list]")?.focus();
      });
      return el("label", {}, radio, el("span", {}, label));
    };
    this.#node.replaceChildren(el("div", { class: "segments", role: "radiogroup" }, pick(false, this.all), pick(true, word("docs_readers_some"))), this.open ? this.#named() : this.usual ? el("p", { class: "note" }, this.usual) : "");
  }

  #named() {
    const field = el("input", { list: "known-readers", maxlength: 300, placeholder: word("docs_readers_placeholder"), "aria-label": word("docs_readers_hint"), spellcheck: "false", autocapitalize: "off" });
    field.addEventListener("keydown", (event) => {
      if (event.key !== "Enter") return;
      event.preventDefault();
      this.#add();
    });
    const add = el("button", { type: "button", class: "action", onclick: () => this.#add() }, word("docs_readers_add"));
    const chips = [...this.#some].map(([value, label]) => this.#chip({ value, label }));
    return el("div", { class: "named" }, el("div", { class: "reader-chips" }, ...chips), el("div", { class: "reader-row" }, field, add), el("p", { class: "note" }, word("docs_readers_hint")));
  }

  #chip(reader) {
    const away = el("button", { type: "button", "aria-label": word("docs_readers_away", { name: called(reader) }) }, icon("close"));
    away.addEventListener("click", () => {
      this.#some.delete(reader.value);
      this.#show();
    });
    return el("span", { class: "reader", title: reader.value }, called(reader), away);
  }

  /** What is typed, by its name or as it is written. */
  #take() {
    const typed = this.#node.querySelector("input[list]")?.value.trim() ?? "";
    if (!typed) return false;
    const known = [...byId("known-readers").options].find((one) => one.value === typed || one.label === typed);
    this.#some.set(known?.value ?? typed, known?.label ?? "");
    return true;
  }

  #add() {
    if (!this.#take()) return;
    this.#show();
    this.#node.querySelector("input[list]").focus();
  }
}
