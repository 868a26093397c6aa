// The documents: how they come in, where they come from, who may read them.

import { api } from "./api.js";
import { byId, el, hasWord, icon, toast, word } from "./dom.js";
import { moment } from "./questions.js";
import { called, Readers } from "./readers.js";
import { Uploads } from "./uploads.js";

const TYPING = 250; // ms without a key before a search begins
const COUNTS = ["added", "changed", "moved", "deleted", "skipped", "failed", "unchanged"];

export class Shelf {
  #form = byId("filters");
  #search = 0; // which one is the present one
  #shown = 0;
  #granting = null; // the document whose readers are being changed
  #known = false;

  constructor(doors) {
    this.doors = doors;
    this.readers = new Readers(byId("upload-readers"), word("docs_readers_as_before"));
    this.granted = new Readers(byId("granting-readers"));
    this.uploads = new Uploads({ readers: () => this.#chosen(), refused: doors.refused, done: () => this.open() });
    byId("drop-sign").append(icon("upload"));
    let waiting = null;
    this.#form.addEventListener("submit", (event) => event.preventDefault());
    this.#form.addEventListener("input", () => {
      clearTimeout(waiting);
      waiting = setTimeout(() => this.#look(), TYPING);
    });
    byId("more").addEventListener("click", () => this.#more());
    byId("granting-save").addEventListener("click", () => this.#grant());
  }

  async open() {
    await Promise.all([this.#sources(), this.#look(), this.#suggest()]);
  }

  #chosen() {
    const chosen = this.readers.chosen;
    if (chosen === null) toast("warning", word("docs_readers_none"));
    return chosen;
  }

  #asked(offset = 0) {
    const filled = new FormData(this.#form);
    const asked = new URLSearchParams({ q: String(filled.get("q")).trim(), offset });
    if (filled.get("source") !== "*") asked.set("source", filled.get("source"));
    return asked;
  }

  async #look() {
    const mine = ++this.#search;
    byId("rows").setAttribute("aria-busy", "true");
    try {
      const page = await api.documents(this.#asked());
      if (mine !== this.#search) return;
      byId("rows").replaceChildren();
      this.#shown = 0;
      this.#add(page);
    } catch (error) {
      if (mine === this.#search) this.doors.refused(error);
    }
  }

  async #more() {
    const mine = this.#search;
    try {
      const page = await api.documents(this.#asked(this.#shown));
      if (mine === this.#search) this.#add(page);
    } catch (error) {
      this.doors.refused(error);
    }
  }

  #add({ documents, count }) {
    byId("rows").append(...documents.map((one) => this.#row(one)));
    byId("rows").setAttribute("aria-busy", "false");
    this.#shown += documents.length;
    byId("more").hidden = this.#shown >= count || !documents.length;
    byId("nothing").hidden = count > 0;
    byId("count").textContent = word("docs_count", { n: count });
  }

  #row(one) {
    const name = /^https?:\/\//.test(one.url) ? el("a", { href: one.url, target: "_blank", rel: "noopener noreferrer" }, one.name) : el("b", {}, one.name);
    const title = one.title && !one.name.includes(one.title) ? el("span", { class: "title" }, one.title) : null;
    const row = el(
      "div",
      { class: "row", role: "row" },
      el("span", { role: "cell", class: "name" }, name, title),
      el("span", { role: "cell", class: "readers" }, ...chips(one.readers)),
      el("span", { role: "cell", class: "from" }, sourceName(one.source)),
      el("span", { role: "cell", class: "number", "data-label": word("docs_passages") }, one.passages.toLocaleString()),
      el("span", { role: "cell", class: "at" }, moment(one.at)),
    );
    row.append(el("span", { role: "cell", class: "deeds" }, ...this.#deeds(one, row)));
    return row;
  }

  #deeds(one, row) {
    if (one.source) return [el("span", { class: "kept", title: word("docs_kept_by"), role: "img", "aria-label": word("docs_kept_by") }, icon("lock"))];
    const button = (sign, said, press) => el("button", { type: "button", class: "icon", title: word(said), "aria-label": `${word(said)} · ${one.name}`, onclick: press }, icon(sign));
    return [button("people", "docs_edit_readers", () => this.#ask(one, row)), button("remove", "docs_remove", () => this.#remove(one, row))];
  }

  #ask(one, row) {
    this.#granting = { one, row };
    byId("granting-title").textContent = word("docs_readers_title", { name: one.name });
    byId("granting-error").textContent = "";
    this.granted.set(one.readers);
    byId("granting").showModal();
  }

  async #grant() {
    const { one, row } = this.#granting;
    const chosen = this.granted.chosen;
    if (chosen === null) {
      byId("granting-error").textContent = word("docs_readers_none");
      return;
    }
    try {
      one.readers = (await api.grant(one.id, chosen.length ? chosen : ["everyone"])).readers;
      row.querySelector(".readers").replaceChildren(...chips(one.readers));
      byId("granting").close();
      toast("success", word("docs_readers_saved"));
    } catch (error) {
      if (error.status === 401) this.doors.refused(error);
      byId("granting-error").textContent = error.message || word("offline");
    }
  }

  async #remove(one, row) {
    if (!confirm(word("docs_remove_confirm", { name: one.name }))) return;
    try {
      await api.removeDocument(one.id);
      row.remove();
      toast("success", word("docs_removed", { name: one.name }));
      this.open();
    } catch (error) {
      this.doors.refused(error);
    }
  }

  async #sources() {
    try {
      const { documents, passages, given, sources } = await api.sources();
      byId("stats").textContent = word("docs_stats", { documents: documents.toLocaleString(), passages: passages.toLocaleString() });
      byId("sources").replaceChildren(...sources.map(sourceCard), ...(given ? [givenCard(given)] : []));
      this.#offer([...sources.map((one) => one.source), ...(given ? [""] : [])]);
    } catch (error) {
      this.doors.refused(error);
    }
  }

  #offer(names) {
    const select = this.#form.elements.source;
    const chosen = select.value;
    while (select.options.length > 1) select.remove(1);
    select.append(...names.map((name) => el("option", { value: name }, sourceName(name))));
    select.value = names.includes(chosen) ? chosen : "*";
  }

  /** Whom the lists offer to name. */
  async #suggest() {
    if (this.#known) return;
    try {
      const { readers, default: usual } = await api.readers();
      byId("known-readers").replaceChildren(...readers.map((one) => el("option", { value: one.value, label: called(one) }, called(one))));
      this.readers.default = usual;
      this.#known = true;
    } catch {
      // they can be written all the same
    }
  }
}

function chips(readers) {
  if (!readers.length) return [el("span", { class: "reader nobody" }, word("docs_nobody"))];
  const shown = readers.slice(0, 3).map((one) => el("span", { class: `reader ${one.value === "everyone" ? "all" : ""}`, title: one.value }, called(one)));
  const rest = readers.slice(3);
  return rest.length ? [...shown, el("span", { class: "reader", title: rest.map(called).join("\n") }, `+${rest.length}`)] : shown;
}

/** feishu_wiki:feishu:7034… -> 飞书知识库 …502641 */
function sourceName(source) {
  if (!source) return word("docs_source_given");
  const [kind, ...rest] = source.split(":");
  const known = hasWord(`docs_source_${kind}`) ? word(`docs_source_${kind}`) : kind;
  const place = rest.at(-1) ?? "";
  return place ? `${known} ${place.length > 28 ? `…${place.slice(-24)}` : place}` : known;
}

function sourceCard(one) {
  const when = one.reading ? word("docs_source_now") : one.at ? word("docs_source_read", { at: moment(one.at) }) : word("docs_source_never");
  const counts = COUNTS.filter((name) => one.counts[name]).map((name) => el("span", { class: `tally ${name}` }, word(`docs_${name}`, { n: one.counts[name] })));
  const why = one.why.length
    ? el("details", {}, el("summary", {}, word("docs_source_why", { n: one.why.length })), el("ul", {}, ...one.why.map(([name, reason]) => el("li", {}, el("b", {}, name), " ", reason))))
    : null;
  return el(
    "article",
    { class: `source-card ${one.problem || one.counts.failed ? "troubled" : ""}` },
    el("h3", { title: one.source }, sourceName(one.source)),
    el("p", { class: "source-facts" }, `${word("docs_source_count", { n: one.documents })} · ${when}`),
    counts.length ? el("p", { class: "tallies" }, ...counts) : null,
    one.problem ? el("p", { class: "source-problem" }, one.problem) : null,
    why,
  );
}

function givenCard(count) {
  return el("article", { class: "source-card" }, el("h3", {}, word("docs_source_given")), el("p", { class: "source-facts" }, word("docs_source_count", { n: count })));
}
