// A picture in full size: arrows turn the page, Escape or a click beside it closes.

import { byId, el, icon, turning, word } from "./dom.js";

export class Lightbox {
  #dialog = byId("lightbox");
  #pictures = [];
  #index = 0;

  constructor() {
    turning(this.#dialog, (move) => this.#turn(move));
  }

  open(pictures, index) {
    this.#pictures = pictures;
    this.#index = index;
    this.#show();
    this.#dialog.showModal();
  }

  #turn(move) {
    const count = this.#pictures.length;
    if (count < 2) return;
    this.#index = (this.#index + move + count) % count;
    this.#show();
  }

  #show() {
    const one = this.#pictures[this.#index];
    const several = this.#pictures.length > 1;
    const image = el("img", { src: `/api/assets/${one.asset}`, width: one.width, height: one.height, alt: one.alt });
    this.#dialog.replaceChildren(
      el("div", { class: "stage" }, several ? this.#arrow("previous", -1) : null, image, several ? this.#arrow("next", 1) : null),
      el(
        "div",
        { class: "plate" },
        el("p", {}, one.alt),
        el("span", { class: "dimensions" }, `${one.width} × ${one.height}`),
        el("a", { class: "icon", href: `/api/assets/${one.asset}`, download: true, title: word("download"), "aria-label": word("download") }, icon("download")),
        el("button", { class: "icon", type: "button", title: word("close"), "aria-label": word("close"), autofocus: true, onclick: () => this.#dialog.close() }, icon("close")),
      ),
    );
  }

  #arrow(name, move) {
    return el("button", { class: `icon turn ${name}`, type: "button", onclick: () => this.#turn(move) }, icon(name));
  }
}
