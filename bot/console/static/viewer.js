// A picture of the gallery in full, with its recipe and what can be done with it.

import { byId, el, icon, turning, word } from "./dom.js";

export class Viewer {
  #dialog = byId("viewer");
  #pictures = [];
  #index = 0;
  #toasts = byId("toasts"); // in the dialog while it is open: nothing stands above that

  /** doors: {press(action, value) -> kind of what was said} */
  constructor(doors) {
    this.doors = doors;
    turning(this.#dialog, (move) => this.#turn(move));
    this.#dialog.addEventListener("close", () => document.body.append(this.#toasts));
  }

  open(pictures, index) {
    this.#pictures = pictures;
    this.#index = index;
    this.#show();
    this.#dialog.showModal();
  }

  #turn(move) {
    const next = this.#index + move;
    if (next < 0 || next >= this.#pictures.length) return;
    this.#index = next;
    this.#show();
  }

  #show() {
    const one = this.#pictures[this.#index];
    const image = el("img", { src: `/api/assets/${one.asset}`, width: one.width, height: one.height, alt: one.prompt });
    this.#dialog.replaceChildren(
      el("div", { class: "stage" }, this.#arrow("previous", -1), image, this.#arrow("next", 1)),
      el(
        "aside",
        { class: "recipe" },
        el("button", { class: "icon close", type: "button", title: word("close"), "aria-label": word("close"), autofocus: true, onclick: () => this.#dialog.close() }, icon("close")),
        el("p", { class: "prompt" }, one.prompt),
        one.negative ? el("p", { class: "negative" }, `${word("gallery_negative")} ${one.negative}`) : null,
        recipe(one),
        this.#actions(one),
        el("p", { class: "goes" }, word("gallery_goes"), " ", el("a", { href: "/" }, word("gallery_to_chat"))),
      ),
      this.#toasts,
    );
  }

  #arrow(name, move) {
    const there = this.#index + move >= 0 && this.#index + move < this.#pictures.length;
    return there ? el("button", { class: `icon turn ${name}`, type: "button", "aria-label": word(`gallery_${name}`), onclick: () => this.#turn(move) }, icon(name)) : null;
  }

  #actions(one) {
    const picture = { job: one.job, index: one.index };
    return el(
      "div",
      { class: "deeds" },
      one.redo ? this.#button("redo", "redo", { job: one.job }) : null,
      this.#button("variation", "vary", picture),
      this.#button("upscale", "enlarge", picture),
      el("a", { class: "deed", href: `/?from=${one.named}` }, icon("attach"), el("span", {}, word("gallery_reference"))),
      el("a", { class: "deed", href: `/api/assets/${one.asset}`, download: true }, icon("download"), el("span", {}, word("download"))),
    );
  }

  #button(action, sign, value) {
    const button = el("button", { type: "button", class: "deed", "data-action": action }, icon(sign), el("span", {}, word(`gallery_${action}`)));
    button.addEventListener("click", async () => {
      button.disabled = true;
      await this.doors.press(action, value);
      button.disabled = false;
    });
    return button;
  }
}

function recipe(one) {
  const rows = [
    [word("gallery_job"), `#${one.named}`],
    [word("gallery_by"), one.who],
    [word("gallery_at"), new Date(one.at).toLocaleString(document.documentElement.lang, { dateStyle: "medium", timeStyle: "short" })],
    [word("gallery_size"), `${one.width} × ${one.height}`],
    [word("gallery_seed"), one.seed],
    [word("gallery_steps"), one.steps],
    [word("gallery_model"), one.model],
    [word("gallery_from"), one.source],
    [word("gallery_private"), one.private ? word("gallery_private_yes") : ""],
  ];
  return el("dl", { class: "facts" }, ...rows.filter(([, value]) => value !== "" && value !== null).map(([label, value]) => el("div", {}, el("dt", {}, label), el("dd", {}, String(value)))));
}
