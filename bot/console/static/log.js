// The conversation on the page: rows by id, our own unsent ones by their client id, and what runs live.

import { botMessage, isOpen, ownBubble, showLive } from "./card.js";
import { byId, el } from "./dom.js";

const NEAR = 120; // px from the end that still count as "at the end"

export class Log {
  #rows = new Map(); // id -> {message, node}
  #pending = new Map(); // client id -> {text, picture, at, status, node}
  #live = new Map(); // job -> {progress, preview, text, length}
  #log = byId("log");
  #scroll = byId("scroll");
  #following = true; // the end is in view, and shall stay so when the window or a phone's keyboard changes

  /** doors: see card.js, and retry(client id, text, picture). */
  constructor(doors) {
    this.doors = doors;
    this.#scroll.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    byId("jump").addEventListener("click", () => this.toEnd(true));
    const sizes = new ResizeObserver(() => this.#resized());
    sizes.observe(this.#scroll);
    sizes.observe(this.#log); // a picture that is decoded makes the conversation longer
  }

  get oldest() {
    return Math.min(...this.#rows.keys());
  }

  get newest() {
    return this.#rows.size ? Math.max(...this.#rows.keys()) : Infinity;
  }

  /** What this person wrote, newest first: for the arrow keys. */
  get written() {
    const rows = [...this.#rows.values()].filter(({ message }) => message.author === "user");
    const texts = rows.sort((a, b) => a.message.id - b.message.id).map(({ message }) => message.body.text);
    return [...texts, ...[...this.#pending.values()].map(({ text }) => text)].reverse();
  }

  get unsent() {
    return [...this.#pending].filter(([, one]) => one.status === "failed").map(([id, one]) => ({ id, text: one.text, picture: one.picture }));
  }

  /** Everything, for the next person. */
  clear() {
    this.forget();
    for (const { node } of this.#pending.values()) node.remove();
    this.#pending.clear();
    this.#live.clear();
  }

  /** What the server has; our unsent messages stay. */
  forget() {
    for (const { node } of this.#rows.values()) node.remove();
    for (const line of this.#log.querySelectorAll(".day")) line.remove();
    this.#rows.clear();
  }

  /** Show a message, or its newer version; an older version than the one shown changes nothing. */
  upsert(message) {
    const known = this.#rows.get(message.id);
    if (known && known.message.version >= message.version) return;
    const follow = this.#atEnd();
    const live = this.#liveOf(message);
    const node = message.author === "user" ? ownBubble(message.body, message.at, "") : botMessage(message, live, this.doors);
    this.#rows.set(message.id, { message, node });
    this.#settle(message.client);
    this.#place(message, node, known?.node);
    this.#after(follow);
  }

  /** Show older messages above, without moving what is being read. */
  prepend(messages) {
    const before = this.#scroll.scrollHeight - this.#scroll.scrollTop;
    for (const message of messages) this.upsert(message);
    this.#scroll.scrollTop = this.#scroll.scrollHeight - before;
  }

  /** Our own message before the server has it. */
  sketch(id, text, status, picture) {
    const known = this.#pending.get(id);
    const at = known?.at ?? new Date().toISOString();
    const node = ownBubble({ text, picture }, at, status, () => this.doors.retry(id, text, picture));
    if (known) known.node.replaceWith(node);
    else this.#log.append(node);
    this.#pending.set(id, { text, picture, at, status, node });
    this.#after(true);
  }

  progress(news) {
    this.#job(news.job).progress = news;
    this.#refresh(news.job);
  }

  /** What a picture looks like so far. */
  preview({ job, src }) {
    this.#job(job).preview = src;
    this.#refresh(job);
  }

  /** The next piece of an answer; `at` says after how many characters it belongs. */
  delta({ job, at, text }) {
    const live = this.#job(job);
    if (at === 0) Object.assign(live, { text: "", length: 0 });
    if (at !== live.length) return; // a piece is missing: the finished message will bring everything
    live.text += text;
    live.length += [...text].length; // the server counts characters, not UTF-16 units
    this.#refresh(job);
  }

  toEnd(smooth = false) {
    this.#scroll.scrollTo({ top: this.#scroll.scrollHeight, behavior: smooth ? "smooth" : "instant" });
    this.#offerJump();
  }

  #liveOf({ body }) {
    if (body.job === null || body.job === undefined) return undefined;
    if (!isOpen(body)) this.#live.delete(body.job);
    return this.#live.get(body.job);
  }

  #job(job) {
    if (!this.#live.has(job)) this.#live.set(job, { progress: null, preview: "", text: "", length: 0 });
    return this.#live.get(job);
  }

  #refresh(job) {
    const follow = this.#atEnd();
    for (const { message, node } of this.#rows.values()) {
      if (message.body.job === job && isOpen(message.body)) showLive(node, message.body, this.#live.get(job));
    }
    this.#after(follow);
  }

  /** The server has our message: its row stands for the sketch. */
  #settle(client) {
    const sketch = this.#pending.get(client);
    if (!sketch) return;
    sketch.node.remove();
    this.#pending.delete(client);
  }

  #place(message, node, old) {
    node.dataset.id = message.id;
    if (old) {
      const focused = old.contains(document.activeElement);
      old.replaceWith(node);
      if (focused) byId("input").focus({ preventScroll: true }); // its button may be gone now
      return;
    }
    const later = [...this.#log.children].find((one) => !one.dataset.id || Number(one.dataset.id) > message.id);
    this.#log.insertBefore(node, later ?? null);
    this.#days();
  }

  /** A line where a new day begins. */
  #days() {
    for (const line of this.#log.querySelectorAll(".day")) line.remove();
    const today = new Date().toDateString();
    let day = today;
    const rows = [...this.#rows.values()].sort((a, b) => a.message.id - b.message.id);
    for (const { message, node } of rows) {
      const at = new Date(message.at);
      if (at.toDateString() === day) continue;
      day = at.toDateString();
      const text = at.toLocaleDateString(document.documentElement.lang, { month: "long", day: "numeric", weekday: "long" });
      node.before(el("p", { class: "day", "data-id": message.id }, text));
    }
  }

  #atEnd() {
    return this.#scroll.scrollHeight - this.#scroll.scrollTop - this.#scroll.clientHeight < NEAR;
  }

  #after(follow) {
    byId("empty").hidden = this.#rows.size + this.#pending.size > 0;
    this.#following = follow;
    this.#resized();
  }

  /** Header and desk keep to the column: they leave the width of the scroll bar free, too. */
  #resized() {
    const bar = this.#scroll.offsetWidth - this.#scroll.clientWidth;
    document.documentElement.style.setProperty("--scroll-bar", `${bar}px`);
    if (this.#following) this.toEnd();
    this.#offerJump();
  }

  #scrolled() {
    this.#following = this.#atEnd();
    this.#offerJump();
  }

  #offerJump() {
    byId("jump").hidden = this.#atEnd();
  }
}
