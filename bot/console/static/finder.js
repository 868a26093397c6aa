// Finding passages: what an answer to this question would be made from.

import { api } from "./api.js";
import { byId, el, word } from "./dom.js";
import { folded } from "./prose.js";

export class Finder {
  #form = byId("asking");
  #search = 0; // which one is the present one: an answer to an older one comes too late

  constructor(doors) {
    this.doors = doors;
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#look();
    });
    for (const one of this.#form.elements.whose) one.addEventListener("change", () => this.#look());
  }

  open() {
    byId("question").focus({ preventScroll: true });
  }

  ask(question) {
    byId("question").value = question;
    this.#look();
  }

  async #look() {
    const question = byId("question").value.trim();
    const mine = ++this.#search;
    if (!question) return this.#show([], true, false);
    byId("found").setAttribute("aria-busy", "true");
    try {
      const { passages, answerable } = await api.find(question, this.#form.elements.whose.value === "everyone");
      if (mine === this.#search) this.#show(passages, answerable, true);
    } catch (error) {
      if (mine === this.#search) this.doors.refused(error);
    } finally {
      if (mine === this.#search) byId("found").setAttribute("aria-busy", "false");
    }
  }

  #show(passages, answerable, asked) {
    const best = passages[0]?.score || 1;
    byId("found").replaceChildren(...passages.map((one, index) => passage(one, index + 1, one.score / best)));
    byId("found-nothing").hidden = !asked || passages.length > 0;
    byId("find-hint").hidden = asked;
    byId("found-count").hidden = !passages.length;
    byId("found-count").replaceChildren(word("find_count", { n: passages.length }), answerable ? "" : el("span", { class: "unsure" }, word("find_unsure")));
  }
}

function passage(one, number, share) {
  const bar = el("span", { class: "fit", title: word("find_fits", { n: Math.round(one.coverage * 100) }) }, el("i"));
  bar.style.setProperty("--share", Math.max(0.03, Math.min(1, share)));
  const where = one.heading.split(" › ").filter((part) => part && part !== name(one.document)).join(" › ");
  return el(
    "li",
    { class: "passage" },
    el("div", { class: "passage-head" }, el("span", { class: "mark", "aria-hidden": "true" }, String(number)), el("b", {}, one.document), bar),
    where ? el("p", { class: "passage-where" }, where) : null,
    folded(one.text),
    el(
      "p",
      { class: "passage-links" },
      el("a", { href: `/passages/${Number(one.passage)}`, target: "_blank", rel: "noopener" }, word("find_open")),
      /^https?:\/\//.test(one.url) ? el("a", { href: one.url, target: "_blank", rel: "noopener noreferrer" }, word("find_original")) : null,
    ),
  );
}

function name(document) {
  return document.split("/").at(-1).replace(/\.[^.]*$/, "");
}
