// One message as an element: the person's own bubble, the bot's plain text, or a card about a job.

import { el, icon, word } from "./dom.js";
import { originalLink, rendered, sourceLink } from "./markup.js";

/** A job's message that may still change. */
export function isOpen(body) {
  return body.state === "queued" || body.state === "running" || body.streaming;
}

/** What the person wrote, {text, picture}. status: "" (kept) | "sending" | "failed". */
export function ownBubble({ text, picture }, at, status, retry) {
  const trouble =
    status === "failed"
      ? el("p", { class: "unsent", role: "alert" }, word("send_failed"), " ", el("button", { type: "button", class: "quiet", onclick: retry }, word("retry")))
      : null;
  const given = picture ? el("img", { class: "given", src: `/api/pictures/${picture}`, alt: word("attached") }) : null;
  const bubble = el("div", { class: "bubble" }, given, text);
  return el("article", { class: `message own ${status}`, "aria-label": word("you"), title: clock(at) }, bubble, trouble);
}

/** What the bot said. live: {progress, preview, text} of a running job; doors: {press(value, action, message, form), enlarge(pictures, index), why(address) -> why it cannot be had}. */
export function botMessage(message, live, doors) {
  const body = message.body;
  const card = Boolean(body.title || body.state || body.pictures.length || body.buttons.length || body.form);
  const node = el(
    "article",
    { class: `message bot ${card ? "card" : "plain"} ${body.state}`, "aria-label": word("bot"), title: clock(message.at), "aria-busy": body.streaming ? "true" : null },
    el("header", { class: "head" }),
    el("div", { class: "text" }),
    el("div", { class: "sketch", hidden: true }),
    pictures(body.pictures, doors),
    fields(body.fields),
    sources(body.sources),
    buttons(message, doors),
    foot(message, doors),
  );
  showLive(node, body, live);
  return node;
}

/** Bring headline, progress, preview and streaming text of a message up to date without touching the rest. */
export function showLive(node, body, live) {
  const running = { state: "running", done: 0, total: 0 };
  const progress = isOpen(body) ? (live?.text ? running : live?.progress) : null;
  node.querySelector(".head").replaceChildren(...head(body, progress, Boolean(live?.text)));
  const typed = isOpen(body) && live?.text.length > body.text.length ? live.text : body.text;
  const text = node.querySelector(".text");
  text.replaceChildren(rendered(typed, body.sources));
  text.classList.toggle("typing", Boolean(isOpen(body) && (body.streaming || live?.text)));
  text.hidden = !typed && !text.classList.contains("typing");
  showPreview(node.querySelector(".sketch"), isOpen(body) ? live?.preview : "");
}

/** What the picture looks like so far: one image whose content changes, so that nothing flickers or jumps. */
function showPreview(place, src) {
  place.hidden = !src;
  if (!src) return place.replaceChildren();
  const image = place.querySelector("img") ?? place.appendChild(el("img", { alt: word("preview") }));
  if (image.src !== src) image.src = src;
}

function head(body, progress, writing) {
  const state = progress?.state ?? body.state;
  const line = progress ? (writing ? word("state_writing") : headline(progress)) : body.title;
  if (!line) return [];
  const [done, total] = progress?.total ? [progress.done, progress.total] : (body.progress ?? [0, 0]);
  return [
    el("h3", { class: `state state-${state || "none"}` }, state ? el("span", { class: "dot", "aria-hidden": "true" }) : null, el("span", {}, line)),
    isOpen(body) && state ? bar(state === "running" ? done : 0, state === "running" ? total : 0) : null,
  ].filter(Boolean);
}

function headline(news) {
  const { state, done, total, place, seconds, title } = news;
  if (title) return title;
  const parts = [word(state === "running" && total ? "state_drawing" : `state_${state}`)];
  if (state === "queued" && place) parts.push(word("place", { n: place }));
  if (state === "running" && total) parts.push(word("steps", { done, total }));
  if (state === "queued") parts.push(waiting(news));
  else if (seconds !== null && seconds !== undefined) parts.push(about(seconds, seconds));
  return parts.join(" · ");
}

function waiting({ seconds, low, high }) {
  if (seconds === null || seconds === undefined) return word("wait_unknown");
  return low ? about(low, high) : word("wait_rough", { time: about(seconds, seconds) });
}

/** Seconds between two numbers, in the unit of the larger one. */
function about(low, high) {
  const [unit, length] = high >= 7200 ? ["hours", 3600] : high >= 120 ? ["minutes", 60] : ["seconds", 1];
  const [least, most] = [low, high].map((seconds) => Math.max(1, Math.round(seconds / length)));
  return word(`about_${unit}`, { n: least === most ? most : `${least}–${most}` });
}

function bar(done, total) {
  return total ? el("progress", { max: total, value: done, "aria-label": word("steps", { done, total }) }) : el("div", { class: "waiting", "aria-hidden": "true" });
}

function pictures(list, doors) {
  if (!list.length) return null;
  return el("div", { class: `pictures ${list.length > 1 ? "several" : ""}` }, ...list.map((one, index) => picture(one, index, list, doors)));
}

function picture(one, index, list, doors) {
  const image = el("img", { src: `/api/assets/${one.asset}/thumbnail`, width: one.width, height: one.height, alt: one.alt, decoding: "async" });
  const frame = el(
    "figure",
    {},
    el("button", { type: "button", class: "frame", "aria-label": word("open_picture", { alt: one.alt }), onclick: () => doors.enlarge(list, index) }, image),
    el("a", { class: "save", href: `/api/assets/${one.asset}`, download: true, title: word("download"), "aria-label": word("download") }, icon("download")),
  );
  frame.style.setProperty("--w", one.width);
  frame.style.setProperty("--h", one.height);
  image.addEventListener("load", () => {
    if (image.naturalWidth < image.clientWidth) image.src = `/api/assets/${one.asset}`; // too coarse for this screen
  }, { once: true });
  image.addEventListener("error", () => {
    const whole = `/api/assets/${one.asset}`;
    if (image.getAttribute("src") !== whole) image.src = whole; // no thumbnail is no reason to show nothing
    else doors.why(whole).then((why) => frame.replaceChildren(el("p", { class: "gone" }, why || word("picture_gone"))));
  });
  return frame;
}

function fields(list) {
  if (!list.length) return null;
  return el("dl", { class: "fields" }, ...list.map(([label, value]) => el("div", {}, el("dt", {}, label), el("dd", {}, value))));
}

function sources(list) {
  if (!list.length) return null;
  const items = list.map((one) =>
    el(
      "li",
      {},
      sourceLink(
        one,
        { class: "source" },
        el("span", { class: "mark", "aria-hidden": "true" }, String(one.mark)),
        el("span", { class: "where" }, one.document, one.heading ? el("span", { class: "heading" }, one.heading) : null),
        one.quote ? el("q", {}, one.quote) : null,
      ),
      originalLink(one, word("original")),
    ),
  );
  return el("section", { class: "sources", "aria-label": word("sources") }, el("h4", {}, word("sources")), el("ol", {}, ...items));
}

function buttons(message, doors) {
  const list = message.body.buttons.filter((one) => !one.quiet);
  const form = message.body.form;
  if (!list.length && !form) return null;
  const row = el("div", { class: "actions" }, ...list.map((one) => pressable(one, `action ${one.style}`, message, doors)));
  if (form) row.append(opener(form, message, doors, row));
  return row;
}

/** The small print, and what people think beside it. */
function foot(message, doors) {
  const marks = message.body.buttons.filter((one) => one.quiet);
  const note = message.body.note ? el("p", { class: "note" }, message.body.note) : null;
  if (!marks.length) return note;
  const names = { vote_up: word("like"), vote_down: word("dislike") };
  const made = marks.map((one) => {
    const button = pressable(one, "mark-button", message, doors);
    if (!names[one.action]) return button;
    button.replaceChildren(icon("thumb")); // not every machine has a font with these
    button.setAttribute("aria-label", names[one.action]);
    button.title = names[one.action];
    return button;
  });
  return el("div", { class: "foot" }, note ?? el("span"), el("div", { class: "marks" }, ...made));
}

function pressable(one, classes, message, doors) {
  const button = el("button", { type: "button", class: classes, "data-action": one.action }, one.label);
  button.addEventListener("click", async () => {
    const { form } = await once(button, () => doors.press(one.value, one.action, message.id));
    asked(button.closest(".message"), form, message, doors);
  });
  return button;
}

/** What the press just done is asked about, below its card; whatever an earlier press was asked goes. */
function asked(card, form, message, doors) {
  card?.querySelector(":scope > .asked")?.remove();
  if (!card || !form) return;
  const sheet = sheetOf(form, message, doors, () => sheet.remove());
  sheet.classList.add("asked");
  card.append(sheet);
  sheet.scrollIntoView({ block: "nearest" });
}

/** One press at a time; a second one is a new press with its own id. */
async function once(button, press) {
  button.disabled = true;
  const said = await press();
  button.disabled = false;
  return said;
}

/** The button that opens a form below the others. What was filled in stays until it was taken. */
function opener(form, message, doors, row) {
  const button = el("button", { type: "button", class: "action", "aria-expanded": "false" }, form.label);
  let sheet = null;
  const show = (open) => {
    if (open && !sheet) row.after((sheet = sheetOf(form, message, doors, () => show(false))));
    if (sheet) sheet.hidden = !open;
    button.setAttribute("aria-expanded", String(open));
    if (open) sheet.querySelector("textarea, input")?.focus({ preventScroll: true });
    else button.focus({ preventScroll: true });
  };
  button.addEventListener("click", () => show(button.getAttribute("aria-expanded") === "false"));
  return button;
}

function sheetOf(form, message, doors, close) {
  const send = el("button", { type: "submit", class: "action primary" }, form.send);
  const shut = el("button", { type: "button", class: "action", onclick: close }, form.close);
  const sheet = el("form", { class: "sheet", "data-action": form.action });
  const submit = async (button, value) => {
    const filled = Object.fromEntries(new FormData(sheet));
    const { kind } = await once(button, () => doors.press(value, form.action, message.id, filled));
    if (kind === "success") close();
  };
  const choices = form.choices?.length ? el("div", { class: "actions choices" }, ...form.choices.map((one) => el("button", { type: "button", class: "action", onclick: (event) => submit(event.currentTarget, one.value) }, one.label))) : null;
  sheet.append(...[choices, ...form.fields.map(line), el("div", { class: "actions" }, send, shut)].filter(Boolean));
  sheet.addEventListener("submit", (event) => {
    event.preventDefault();
    submit(send, form.value);
  });
  return sheet;
}

function line(one) {
  const common = { name: one.name, maxlength: one.max, autocomplete: "off" };
  const field = one.kind === "lines" ? el("textarea", { ...common, rows: 3 }) : el("input", { ...common, type: "text", inputmode: one.kind === "number" ? "numeric" : null });
  field.value = one.value;
  return el("label", { class: `line ${one.kind}` }, el("span", {}, one.label), field);
}

function clock(at) {
  return new Date(at).toLocaleString(document.documentElement.lang, { dateStyle: "medium", timeStyle: "short" });
}
