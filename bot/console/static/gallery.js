// The gallery: filters in the address, a wall of thumbnails that grows as one scrolls, a picture in full with its recipe.

import { api } from "./api.js";
import { byId, el, icon, newId, toast, word } from "./dom.js";
import { Viewer } from "./viewer.js";

const FIELDS = ["q", "by", "model", "size", "first", "last"];
const TYPING = 250; // ms without a key before a search begins

const form = byId("filters");
const grid = byId("grid");
const chosen = new Map(); // asset -> its checkbox
let shown = [];
let oldest = null; // asset behind which the next page begins; null = there is none
let search = 0; // which search is the present one: an answer to an older one comes too late

const viewer = new Viewer({ press });

function refused(error) {
  if (error.status === 401) return outside();
  toast("error", error.message || word("offline"));
}

/** What is filled in, without what is empty. */
function wanted() {
  const filled = new FormData(form);
  return new URLSearchParams(FIELDS.map((name) => [name, String(filled.get(name) ?? "").trim()]).filter(([, value]) => value));
}

function fill(params) {
  for (const name of FIELDS) {
    const field = form.elements[name];
    const value = params.get(name) ?? "";
    if (field.tagName === "SELECT" && value && ![...field.options].some((one) => one.value === value)) {
      field.append(el("option", { value }, value.replace("x", " × ")));
    }
    field.value = value;
  }
}

/** Begin anew with what is filled in; the address says it, so that it can be kept and sent. */
async function look() {
  const asked = wanted();
  history.replaceState(null, "", `${location.pathname}${asked.size ? `?${asked}` : ""}`);
  const mine = ++search;
  grid.setAttribute("aria-busy", "true");
  try {
    const page = await api.gallery(asked);
    if (mine !== search) return;
    shown = [];
    chosen.clear();
    grid.replaceChildren();
    add(page);
    showChosen();
  } catch (error) {
    if (mine === search) refused(error);
  }
}

async function older() {
  if (oldest === null) return;
  const mine = search;
  const before = oldest;
  oldest = null; // one page at a time
  const asked = wanted();
  asked.set("before", before);
  try {
    const page = await api.gallery(asked);
    if (mine === search) add(page);
  } catch (error) {
    oldest = before;
    if (mine === search) refused(error);
  }
}

function add({ pictures, more }) {
  const start = shown.length;
  shown.push(...pictures);
  grid.append(...pictures.map((one, index) => tile(one, start + index)));
  oldest = more ? shown.at(-1).asset : null;
  grid.setAttribute("aria-busy", "false");
  byId("more").hidden = !more;
  byId("nothing").hidden = shown.length > 0;
  byId("take-all").hidden = !shown.length;
  byId("count").textContent = shown.length ? word(more ? "gallery_count_more" : "gallery_count", { n: shown.length }) : "";
  if (more) sentinel.observe(byId("more")); // again: it may still be in view
}

function tile(one, index) {
  const image = el("img", { src: `/api/assets/${one.asset}/thumbnail`, width: one.width, height: one.height, alt: one.prompt, loading: "lazy", decoding: "async" });
  const check = el("input", { type: "checkbox", "aria-label": word("gallery_choose", { named: one.named }) });
  const figure = el(
    "figure",
    { class: "tile" },
    el("button", { type: "button", class: "open", "aria-label": word("open_picture", { alt: one.prompt }), onclick: () => viewer.open(shown, index) }, image),
    el("label", { class: "choose" }, check, el("span", { "aria-hidden": "true" }, icon("check"))),
    el("figcaption", {}, el("span", { class: "said" }, one.prompt), el("span", { class: "by" }, `#${one.named} · ${one.who} · ${day(one.at)}`)),
  );
  figure.style.setProperty("--ratio", Math.min(2.4, Math.max(0.5, one.width / one.height)));
  check.addEventListener("change", () => {
    if (check.checked) chosen.set(one.asset, check);
    else chosen.delete(one.asset);
    showChosen();
  });
  image.addEventListener("error", () => figure.classList.add("broken"), { once: true });
  return figure;
}

function day(at) {
  return new Date(at).toLocaleDateString(document.documentElement.lang, { month: "short", day: "numeric" });
}

function showChosen() {
  byId("selection").hidden = !chosen.size;
  document.body.classList.toggle("choosing", chosen.size > 0);
  byId("chosen").textContent = word("gallery_chosen", { n: chosen.size });
}

function drop() {
  for (const check of chosen.values()) check.checked = false;
  chosen.clear();
  showChosen();
}

/** Ask first whether it can be had: a refusal is a sentence here, and would be a page of its own there. */
async function take(asked) {
  try {
    await api.exportable(asked);
    location.assign(`/api/gallery/pictures.zip?${asked}`);
  } catch (error) {
    refused(error);
  }
}

/** A button of the chat, pressed here: what comes of it comes to the chat. */
async function press(action, value) {
  try {
    const { toast: said } = await api.press(newId(), value, action);
    if (said.text) toast(said.kind, said.text);
    return said.kind;
  } catch (error) {
    refused(error);
    return "error";
  }
}

/** Days by their name: today, this week from Monday, this month. */
function span(named) {
  const today = new Date();
  const first = new Date(today);
  if (named === "week") first.setDate(today.getDate() - ((today.getDay() + 6) % 7));
  if (named === "month") first.setDate(1);
  const iso = (one) => `${one.getFullYear()}-${String(one.getMonth() + 1).padStart(2, "0")}-${String(one.getDate()).padStart(2, "0")}`;
  form.elements.first.value = iso(first);
  form.elements.last.value = iso(today);
  look();
}

async function choices() {
  const { people, models, sizes } = await api.galleryChoices();
  const offer = (name, list) => form.elements[name].append(...list.map(([value, label]) => el("option", { value }, label)));
  offer("by", people.map((one) => [one.id, one.name]));
  offer("model", models.map((one) => [one, one]));
  offer("size", sizes.map(([width, height]) => [`${width}x${height}`, `${width} × ${height}`]));
}

function outside() {
  byId("wall").hidden = true;
  byId("outside").hidden = false;
}

function showTheme(choice) {
  byId("theme").replaceChildren(icon(choice));
  byId("theme").title = word(`theme_${choice}`);
  byId("theme").setAttribute("aria-label", word(`theme_${choice}`));
}

const sentinel = new IntersectionObserver((entries) => {
  if (!entries.some((one) => one.isIntersecting)) return;
  sentinel.unobserve(byId("more"));
  older();
}, { rootMargin: "600px" });

async function start() {
  showTheme(window.moqiTheme.choice);
  byId("theme").addEventListener("click", () => showTheme(window.moqiTheme.next()));
  byId("knowledge").append(icon("knowledge"));
  byId("chat").append(icon("chat"));
  let waiting = null;
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(look, TYPING);
  });
  form.addEventListener("reset", () => setTimeout(look));
  for (const chip of form.querySelectorAll("[data-days]")) chip.addEventListener("click", () => span(chip.dataset.days));
  byId("more").addEventListener("click", older);
  byId("take").addEventListener("click", () => take(new URLSearchParams({ ids: [...chosen.keys()].join(",") })));
  byId("take-all").addEventListener("click", () => take(wanted()));
  byId("drop").addEventListener("click", drop);
  try {
    const session = await api.session();
    if (session === null) return outside();
    byId("who").textContent = session.name;
    byId("wall").hidden = false;
    await choices();
    fill(new URLSearchParams(location.search));
    await look();
  } catch (error) {
    refused(error);
  } finally {
    document.body.classList.remove("loading");
  }
}

start();
