// Puts the page together: door, conversation, desk, stream.

import { api } from "./api.js";
import { Composer } from "./composer.js";
import { Door } from "./door.js";
import { byId, el, icon, newId, toast, word } from "./dom.js";
import { Lightbox } from "./lightbox.js";
import { Log } from "./log.js";
import { Stream } from "./stream.js";

const OFFLINE_AFTER = 1200; // ms without a stream before the banner appears

let session = null;
let offline = null; // timer or true once the banner is shown

const lightbox = new Lightbox();
const log = new Log({ press, enlarge: (list, index) => lightbox.open(list, index), retry: write, why: api.why });
const lists = { templates, styles, sizes };
const composer = new Composer((text, picture) => write(newId(), text, picture), () => log.written, attach, lists);
const stream = new Stream({
  ready: resume,
  lost,
  message: (message) => log.upsert(message),
  progress: (news) => log.progress(news),
  preview: (news) => log.preview(news),
  delta: (news) => log.delta(news),
});
const door = new Door(enter);

/** Any refusal: signed out goes to the door, everything else is said. */
function refused(error) {
  if (error.status === 401 && session) return leave();
  toast("error", error.message || word("offline"));
}

async function write(id, text, picture = null) {
  log.sketch(id, text, "sending", picture);
  try {
    log.upsert(await api.write(id, text, picture));
  } catch (error) {
    log.sketch(id, text, "failed", picture);
    refused(error);
  }
}

/** Keep a chosen picture; returns its name, or null once the refusal is said. */
async function attach(file) {
  try {
    return (await api.upload(file)).picture;
  } catch (error) {
    refused(error);
    return null;
  }
}

/** The styles there are; none where the server is away. */
async function styles() {
  try {
    return await api.styles();
  } catch {
    return [];
  }
}

/** Press a button, or send a form; returns the kind of what was said to it, and the form that asks back. */
async function press(value, action, message, filled) {
  try {
    const { toast: said, form } = await api.press(newId(), value, action, message, filled);
    if (said.text) toast(said.kind, said.text);
    return { kind: said.kind, form };
  } catch (error) {
    refused(error);
    return { kind: "error", form: null };
  }
}

/** After every (re)connection: whatever happened meanwhile is in the history. */
async function resume() {
  online();
  try {
    const { messages, more } = await api.history();
    if (more && messages[0].id > log.newest) log.forget(); // away so long that a gap would remain
    for (const message of messages) log.upsert(message);
    if (!messages.length) byId("empty").hidden = false;
    byId("older").hidden = byId("older").dataset.done === "true" || !more;
    document.body.classList.remove("loading");
    for (const { id, text, picture } of log.unsent) write(id, text, picture);
  } catch (error) {
    refused(error);
  }
}

function online() {
  if (offline === true) toast("success", word("back_online"));
  clearTimeout(offline);
  offline = null;
  byId("banner").hidden = true;
}

async function lost(refusedByServer) {
  offline ??= setTimeout(() => {
    offline = true;
    byId("banner").hidden = false;
  }, OFFLINE_AFTER);
  if (!refusedByServer) return;
  try {
    if ((await api.session()) === null) leave();
  } catch {
    // the server is away: the stream keeps trying
  }
}

async function older() {
  try {
    const { messages, more } = await api.history(log.oldest);
    log.prepend(messages);
    byId("older").hidden = !more;
    byId("older").dataset.done = String(!more);
  } catch (error) {
    refused(error);
  }
}

async function enter(who) {
  session = who;
  byId("who").textContent = who.name;
  byId("room").hidden = false;
  stream.open();
  composer.focus();
  begin();
  composer.commands = await api.commands();
}

/** Come from the gallery with a picture to draw from: the order is begun, and a reload does not begin it again. */
function begin() {
  const from = new URLSearchParams(location.search).get("from");
  if (!/^\d{1,10}(\.\d{1,3})?$/.test(from ?? "")) return;
  history.replaceState(null, "", location.pathname);
  composer.fill(`/draw  --from ${from}`, "/draw ".length);
}

/** The prompt templates of whoever writes; none where they cannot be had. */
function templates() {
  return asked(api.templates);
}

/** The sizes that can be drawn now. */
function sizes() {
  return asked(api.sizes);
}

async function asked(list) {
  try {
    return await list();
  } catch (error) {
    refused(error);
    return [];
  }
}

function leave() {
  session = null;
  stream.close();
  clearTimeout(offline);
  offline = null;
  byId("banner").hidden = true;
  byId("older").dataset.done = "false";
  log.clear();
  door.show();
}

/** Six streams are all that a browser opens to one server over HTTP/1: a tab that nobody looks at gives its back. */
function lookedAt() {
  if (!session) return;
  if (document.hidden) stream.close();
  else stream.open();
}

async function signOut() {
  if (!confirm(word("sign_out_confirm", { name: session.name }))) return;
  try {
    await api.signOut();
    leave();
  } catch (error) {
    refused(error);
  }
}

function showTheme(choice) {
  byId("theme").replaceChildren(icon(choice));
  byId("theme").title = word(`theme_${choice}`);
  byId("theme").setAttribute("aria-label", word(`theme_${choice}`));
}

function examples() {
  for (const name of ["draw", "ask", "help"]) {
    const text = word(`example_${name}`);
    const card = el("button", { type: "button", class: "example" }, el("span", { class: "example-note" }, word(`example_${name}_note`)), el("span", { class: "example-text" }, text));
    card.addEventListener("click", () => composer.fill(text));
    byId("examples").append(card);
  }
}

async function start() {
  examples();
  showTheme(window.moqiTheme.choice);
  byId("theme").addEventListener("click", () => showTheme(window.moqiTheme.next()));
  byId("knowledge").append(icon("knowledge"));
  byId("gallery").append(icon("gallery"));
  byId("leave").append(icon("leave"));
  byId("leave").addEventListener("click", signOut);
  byId("older").addEventListener("click", older);
  document.addEventListener("visibilitychange", lookedAt);
  await arrive();
}

/** Into the room with a valid session, else to the door; a server that is not there yet is asked again. */
async function arrive() {
  try {
    const who = await api.session();
    if (who) await enter(who);
    else door.show();
  } catch (error) {
    if (error.status === 403) door.show();
    else setTimeout(arrive, 2000);
  }
}

start();
