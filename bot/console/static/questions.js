// Questions that got no good answer: each once, the one asked last first.

import { api } from "./api.js";
import { byId, el, hasWord, icon, listed, word } from "./dom.js";
import { folded } from "./prose.js";

const SEEN = 5; // documents that are named

export class Questions {
  #open = 0;

  constructor(doors) {
    this.doors = doors;
  }

  /** How many there are, for the tab. */
  async count() {
    try {
      this.#tell((await api.unanswered()).questions.length);
    } catch {
      // the tab itself will say what is wrong
    }
  }

  async open() {
    try {
      const { questions } = await api.unanswered();
      byId("questions").replaceChildren(...questions.map((one) => this.#row(one)));
      this.#tell(questions.length);
    } catch (error) {
      this.doors.refused(error);
    }
  }

  #tell(count) {
    this.#open = count;
    byId("open-count").textContent = count > 99 ? "99+" : String(count);
    byId("open-count").hidden = !count;
    byId("questions-none").hidden = count > 0 || byId("questions").children.length > 0;
  }

  #row(one) {
    const facts = [
      one.refused ? el("span", { class: "tag missing" }, word("asked_refused")) : null,
      one.disliked ? el("span", { class: "tag against", title: word("asked_disliked", { n: one.disliked }) }, icon("thumb"), String(one.disliked)) : null,
      ...Object.entries(one.reasons).map(([name, n]) => el("span", { class: "tag" }, `${hasWord(`asked_reason_${name}`) ? word(`asked_reason_${name}`) : name}${n > 1 ? ` × ${n}` : ""}`)),
    ];
    const asked = [
      one.times > 1 ? word("asked_times", { n: one.times }) : "",
      one.people > 1 ? word("asked_people", { n: one.people }) : "",
      word("asked_last", { at: moment(one.last) }),
      one.askers.length ? word("asked_who", { names: listed(one.askers) }) : "",
    ];
    const done = el("button", { type: "button", class: "action" }, word("asked_done"));
    const row = el(
      "li",
      { class: "question" },
      el("h3", {}, one.question),
      el("p", { class: "tags" }, ...facts),
      el("p", { class: "question-facts" }, asked.filter(Boolean).join(" · ")),
      ...one.said.map((text) => el("blockquote", {}, text)),
      this.#answer(one),
      el("div", { class: "actions" }, el("button", { type: "button", class: "action", onclick: () => this.doors.find(one.question) }, word("asked_try")), done),
    );
    done.addEventListener("click", () => this.#settle(one, row, done));
    return row;
  }

  #answer(one) {
    if (one.hidden) return el("p", { class: "question-facts" }, word("asked_hidden"));
    const seen = one.documents.length ? el("p", { class: "question-facts" }, word("asked_seen", { names: listed(one.documents.slice(0, SEEN)) })) : null;
    if (!one.answer || !one.disliked) return seen; // that nothing was found, everybody knows how that reads
    return el("details", {}, el("summary", {}, word("asked_answer")), folded(one.answer), seen);
  }

  async #settle(one, row, button) {
    const done = !row.classList.contains("settled");
    button.disabled = true;
    try {
      await api.settle(one.jobs, done);
      row.classList.toggle("settled", done);
      button.textContent = word(done ? "asked_undone" : "asked_done");
      this.#tell(this.#open + (done ? -1 : 1));
    } catch (error) {
      this.doors.refused(error);
    }
    button.disabled = false;
  }
}

export function moment(at) {
  return new Date(at).toLocaleString(document.documentElement.lang, { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" });
}
