// The knowledge page: find passages (everybody), questions without a good answer (reviewers), documents (admins).

import { api } from "./api.js";
import { byId, icon, toast, word } from "./dom.js";
import { Finder } from "./finder.js";
import { Questions } from "./questions.js";
import { Shelf } from "./shelf.js";

const RANK = { user: 0, reviewer: 1, admin: 2 };
const NEEDS = { find: 0, unanswered: 1, documents: 2 };

const doors = { refused, find };
const finder = new Finder(doors);
const views = { find: finder, unanswered: new Questions(doors), documents: new Shelf(doors) };

function refused(error) {
  if (error.status === 401) return outside();
  toast("error", error.message || word("offline"));
}

/** Look a question up: from the list of those without an answer. */
function find(question) {
  open("find");
  finder.ask(question);
}

/** Show one part; the address says which, so that it can be kept and sent. */
function open(view) {
  for (const name of Object.keys(views)) {
    byId(name).hidden = name !== view;
    byId(`tab-${name}`).setAttribute("aria-selected", String(name === view));
    byId(`tab-${name}`).tabIndex = name === view ? 0 : -1;
  }
  history.replaceState(null, "", view === "find" ? location.pathname : `${location.pathname}?view=${view}`);
  views[view].open();
}

/** Tabs turn with the arrow keys, as tabs do. */
function turn(event) {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!step) return;
  const tabs = [...byId("tabs").children].filter((one) => !one.hidden);
  const next = tabs[(tabs.indexOf(document.activeElement) + step + tabs.length) % tabs.length];
  next.focus();
  open(next.dataset.view);
}

function outside() {
  byId("shelf").hidden = true;
  byId("outside").hidden = false;
}

function showTheme(choice) {
  byId("theme").replaceChildren(icon(choice));
  byId("theme").title = word(`theme_${choice}`);
  byId("theme").setAttribute("aria-label", word(`theme_${choice}`));
}

async function start() {
  showTheme(window.moqiTheme.choice);
  byId("theme").addEventListener("click", () => showTheme(window.moqiTheme.next()));
  byId("chat").append(icon("chat"));
  byId("gallery").append(icon("gallery"));
  try {
    const session = await api.session();
    if (session === null) return outside();
    byId("who").textContent = session.name;
    byId("shelf").hidden = false;
    const mine = Object.keys(views).filter((name) => NEEDS[name] <= RANK[session.role]);
    for (const name of mine) {
      byId(`tab-${name}`).hidden = false;
      byId(`tab-${name}`).addEventListener("click", () => open(name));
    }
    byId("tabs").hidden = mine.length < 2;
    byId("tabs").addEventListener("keydown", turn);
    if (mine.includes("unanswered")) views.unanswered.count();
    const wanted = new URLSearchParams(location.search).get("view");
    open(mine.includes(wanted) ? wanted : "find");
  } catch (error) {
    refused(error);
  } finally {
    document.body.classList.remove("loading");
  }
}

start();
