// Documents on their way in: one after the other, each with how far it is and what became of it.

import { api } from "./api.js";
import { byId, el, word } from "./dom.js";

export class Uploads {
  #waiting = [];
  #busy = false;

  /** doors: {readers() -> [] for as usual, null for nobody named; refused(error); done()} */
  constructor(doors) {
    this.doors = doors;
    byId("uploads-clear").addEventListener("click", () => this.#clear());
    byId("files").addEventListener("change", (event) => {
      this.add([...event.target.files].map((file) => ({ file })));
      event.target.value = "";
    });
    this.#watch(byId("drop"));
  }

  add(found) {
    if (!found.length) return;
    const readers = this.doors.readers();
    if (readers === null) return;
    byId("uploads").hidden = false;
    for (const { file, folder } of found) {
      const row = line(folder ?? file.name);
      byId("upload-list").append(row.node);
      const most = Number(byId("drop").dataset.largest); // a connection that is cut in mid-way says nothing
      if (folder) row.failed(word("docs_folder", { name: folder }));
      else if (file.size > most * 1_048_576) row.failed(word("docs_too_large", { size: most }));
      else this.#waiting.push({ file, row, readers });
    }
    this.#work();
  }

  async #work() {
    if (this.#busy) return;
    this.#busy = true;
    byId("uploads-clear").hidden = true;
    while (this.#waiting.length) await this.#send(this.#waiting.shift());
    this.#busy = false;
    byId("uploads-clear").hidden = false;
    this.doors.done();
  }

  async #send({ file, row, readers }) {
    row.sending(0);
    try {
      const { text, status } = await api.uploadDocument(file, readers, row.sending);
      row.ended(status, text);
    } catch (error) {
      row.failed(error.message || word("offline"));
      if (error.status === 401) this.doors.refused(error);
    }
  }

  #clear() {
    byId("upload-list").replaceChildren();
    byId("uploads").hidden = true;
  }

  /** The whole page takes what is dropped, while the documents are in view: nothing opens in place of it. */
  #watch(zone) {
    let depth = 0;
    const seen = (event) => !byId("documents").hidden && event.dataTransfer?.types.includes("Files");
    addEventListener("dragenter", (event) => seen(event) && zone.classList.toggle("over", ++depth > 0));
    addEventListener("dragleave", (event) => seen(event) && zone.classList.toggle("over", --depth > 0));
    addEventListener("dragover", (event) => seen(event) && event.preventDefault());
    addEventListener("drop", (event) => {
      if (!seen(event)) return;
      event.preventDefault();
      depth = 0;
      zone.classList.remove("over");
      this.add(dropped(event.dataTransfer));
    });
  }
}

/** What was dropped: files, and folders by their name only. */
function dropped(transfer) {
  return [...transfer.items]
    .filter((item) => item.kind === "file")
    .map((item) => {
      const entry = item.webkitGetAsEntry?.();
      return entry?.isDirectory ? { folder: entry.name } : { file: item.getAsFile() };
    })
    .filter((one) => one.folder || one.file);
}

function line(name) {
  const bar = el("progress", { max: 1, value: 0, "aria-label": name });
  const said = el("span", { class: "upload-said" }, word("docs_waiting"));
  const node = el("li", { class: "upload" }, el("b", {}, name), said, bar);
  const show = (state, text) => {
    node.className = `upload ${state}`;
    said.textContent = text;
  };
  return {
    node,
    sending(share) {
      bar.value = share;
      if (share < 1) return show("sending", word("docs_sending", { n: Math.round(share * 100) }));
      bar.removeAttribute("value"); // on its way no more, and read for nobody knows how long
      return show("sending", word("docs_reading"));
    },
    ended(state, text) {
      bar.remove();
      show(state, text);
    },
    failed(text) {
      bar.remove();
      show("failed", text);
    },
  };
}
