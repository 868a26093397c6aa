// The writing desk: Enter sends, Shift+Enter breaks the line, ↑ recalls, "/" opens the list of commands,
// --lora that of styles, --size and --template those of sizes and templates.

import { byId, el, icon, word } from "./dom.js";
import { rendered } from "./markup.js";
import { styleCells, typedStyle } from "./styles.js";

const SLASH = /^[/／]([^\s]*)$/;
/** Flags whose values are listed while they are typed, and what the list is called. */
const LISTED = { templates: /(?:--|—|–)template[\s=]+([^\s=]*)$/i, sizes: /(?:--|—|–)size[\s=]+([^\s=]*)$/i };
const DRAWS = /^\s*[/／]?(draw|画|绘)/i;
const PREVIEWS_AGAIN = 2500; // ms until pictures of styles that are being drawn are looked for once more
const FROM = /(^|\s)(--|—|–)(from|ref)(?![a-z])/i;

export class Composer {
  #input = byId("input");
  #hints = byId("hints");
  #commands = [];
  #styles = null; // once they were asked for
  #known = {}; // what of LISTED there was when somebody last began to type one
  #shown = [];
  #chosen = 0;
  #recalled = -1;
  #picture = null; // the attached one's name

  /** send(text, picture); written() -> own messages, newest first; attach(file) -> its name or null; lists: templates(), sizes(), styles(). */
  constructor(send, written, attach, lists) {
    this.lists = lists;
    this.send = send;
    this.written = written;
    this.attach = attach;
    byId("attach").parentElement.prepend(icon("attach"));
    byId("attach").addEventListener("change", () => this.#attach());
    byId("send").append(icon("send"));
    byId("composer").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.#input.addEventListener("keydown", (event) => this.#key(event));
    this.#input.addEventListener("input", () => {
      this.#recalled = -1;
      this.#changed();
    });
    this.#input.addEventListener("blur", () => setTimeout(() => this.#close(), 150));
    this.#changed();
  }

  set commands(list) {
    this.#commands = list;
    this.#changed(); // somebody may have typed the slash before they came
  }

  /** Put a text into the input, caret at its end, or behind so many characters. */
  fill(text, caret = text.length) {
    this.#input.value = text;
    this.#input.focus();
    this.#input.setSelectionRange(caret, caret);
    this.#changed(false);
  }

  focus() {
    this.#input.focus({ preventScroll: true });
  }

  #submit() {
    const written = this.#input.value;
    if (!written.trim()) return;
    const picture = this.#picture;
    const text = picture && DRAWS.test(written) && !FROM.test(written) ? `${written.trimEnd()} --from` : written;
    this.#input.value = "";
    this.#show(null);
    this.#recalled = -1;
    this.#changed();
    this.focus();
    this.send(text, picture);
  }

  async #attach() {
    const [file] = byId("attach").files;
    byId("attach").value = ""; // the same file may be chosen again
    if (file) this.#show(await this.attach(file));
    this.focus();
  }

  /** The attached picture above the input, with a way to take it off again. */
  #show(picture) {
    this.#picture = picture;
    byId("attached").hidden = !picture;
    byId("attached").replaceChildren();
    if (!picture) return;
    const off = el("button", { type: "button", class: "icon", title: word("detach"), "aria-label": word("detach"), onclick: () => this.#show(null) }, icon("close"));
    byId("attached").append(el("img", { src: `/api/pictures/${picture}`, alt: word("attached") }), off);
  }

  #key(event) {
    if (event.isComposing || event.keyCode === 229) return; // Enter inside an input method chooses a word
    if (!this.#hints.hidden && this.#hintKey(event)) return;
    if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      this.#submit();
    } else if (event.key === "ArrowUp" && this.#mayRecall()) {
      event.preventDefault();
      this.#recall(this.#recalled + 1);
    } else if (event.key === "ArrowDown" && this.#recalled >= 0) {
      event.preventDefault();
      this.#recall(this.#recalled - 1);
    }
  }

  #hintKey(event) {
    const move = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (move) this.#choose((this.#chosen + move + this.#shown.length) % this.#shown.length);
    else if (event.key === "Escape") this.#close();
    else if (event.key === "Tab" || (event.key === "Enter" && !event.shiftKey && !this.#complete())) this.#take(this.#shown[this.#chosen]);
    else return false;
    event.preventDefault();
    return true;
  }

  /** The input already is a command: Enter sends it. */
  #complete() {
    const text = this.#input.value.replace("／", "/");
    return this.#commands.some((one) => text === one.name || text === one.zh) || this.#styles?.some((one) => one.name === typedStyle(text));
  }

  #mayRecall() {
    return this.#input.value === "" || (this.#recalled >= 0 && this.#input.selectionStart === this.#input.value.length);
  }

  #recall(index) {
    const written = this.written();
    if (index >= written.length) return;
    this.#recalled = index;
    this.fill(index < 0 ? "" : written[index]);
    this.#close();
  }

  #changed(suggest = true) {
    this.#input.style.height = "auto";
    if (this.#input.scrollHeight) this.#input.style.height = `${this.#input.scrollHeight}px`; // 0 while not shown
    byId("send").disabled = !this.#input.value.trim();
    const match = suggest ? SLASH.exec(this.#input.value) : null;
    const named = suggest ? Object.keys(LISTED).find((list) => LISTED[list].test(this.#input.value)) : null;
    const style = suggest ? typedStyle(this.#input.value) : null;
    if (match) this.#open(match[1].toLowerCase());
    else if (named) this.#name(named);
    else if (style !== null) this.#openStyles(style);
    else this.#close();
  }

  #open(typed) {
    this.#list(this.#commands.filter((one) => one.name.slice(1).startsWith(typed) || one.zh.slice(1).startsWith(typed)));
  }

  /** What of a list begins as what was typed behind its flag. */
  async #name(list) {
    const written = this.#input.value;
    const typed = LISTED[list].exec(written)[1];
    if (!typed || !this.#known[list]) this.#known[list] = await this.lists[list]();
    if (this.#input.value !== written) return; // typed on meanwhile
    const before = written.slice(0, written.length - typed.length);
    const near = this.#known[list].filter((one) => one.name !== typed && one.name.toLowerCase().startsWith(typed.toLowerCase()));
    this.#list(near.map((one) => ({ zh: "", ...one, text: `${before}${one.name} ` })));
  }

  #openStyles(typed) {
    if (!this.#styles) return this.#askStyles();
    const written = this.#input.value;
    const before = written.slice(0, written.length - typed.length);
    const near = this.#styles.filter((one) => one.name.toLowerCase().startsWith(typed.toLowerCase()));
    this.#list(near.map((one) => ({ text: `${before}${one.name}`, cells: styleCells(one) })));
  }

  /** Styles are asked for when --lora is typed, and again while pictures of them are being drawn. */
  async #askStyles() {
    this.#styles = await this.lists.styles();
    if (typedStyle(this.#input.value) === null) return;
    this.#changed();
    if (this.#styles.some((one) => !one.preview)) setTimeout(() => this.#hints.hidden || this.#askStyles(), PREVIEWS_AGAIN);
  }

  #list(found) {
    this.#shown = found;
    if (!this.#shown.length) return this.#close();
    this.#hints.replaceChildren(...this.#shown.map((one, index) => this.#hint(one, index)));
    this.#hints.hidden = false;
    this.#input.setAttribute("aria-expanded", "true");
    this.#choose(0);
  }

  #hint(one, index) {
    const row = el("div", { class: one.cells ? "hint-row style-row" : "hint-row", role: "option", id: `hint-${index}` }, ...(one.cells ?? [el("b", {}, one.name), el("i", {}, one.zh), el("span", {}, rendered(one.help))]));
    row.addEventListener("pointerdown", (event) => {
      event.preventDefault(); // keep the focus, and a phone's keyboard, where they are
      this.#take(one);
    });
    return row;
  }

  #choose(index) {
    this.#chosen = index;
    [...this.#hints.children].forEach((row, at) => row.setAttribute("aria-selected", String(at === index)));
    this.#hints.children[index].scrollIntoView({ block: "nearest" });
    this.#input.setAttribute("aria-activedescendant", `hint-${index}`);
  }

  #take(one) {
    this.fill(one.text ?? `${one.name} `);
    this.#close();
  }

  #close() {
    this.#hints.hidden = true;
    this.#input.setAttribute("aria-expanded", "false");
    this.#input.removeAttribute("aria-activedescendant");
  }
}
