// Elements from values. Text becomes text nodes: nothing a person or a model wrote is ever parsed as HTML.

const boot = JSON.parse(document.getElementById("boot").textContent);

export const title = boot.title;

/** Whether whoever comes may take a free name. */
export const names = boot.names;

/** Whether the page knows this word: what stands in an address may be anything. */
export function hasWord(key) {
  return Object.hasOwn(boot.words, key);
}

/** The words of the page, with `{name}` filled in. */
export function word(key, values = {}) {
  return boot.words[key].replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

/** Names in a row, as this language separates them. */
export function listed(names) {
  return names.join(document.documentElement.lang === "en" ? ", " : "、");
}

export function byId(id) {
  return document.getElementById(id);
}

/** el("a", {class: "mark", href: "/x", onclick: f}, "text", otherElement, null) */
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

const SVG = "http://www.w3.org/2000/svg";
const PATHS = {
  thumb: "M7 10.5v9H4.5a1 1 0 0 1-1-1v-7a1 1 0 0 1 1-1Zm0 0l3.6-6.8c1.6 0 2.6 1.2 2.4 2.8l-.4 2.8h5.2c1.4 0 2.4 1.2 2.1 2.6l-1.2 6c-.2 1-1 1.6-2 1.6H7",
  auto: "M12 3a9 9 0 1 0 0 18a9 9 0 0 0 0-18Zm0 0v18M12 7.5h6M12 12h8.6M12 16.5h6",
  light: "M12 8a4 4 0 1 0 0 8a4 4 0 0 0 0-8ZM12 2.5v2M12 19.5v2M2.5 12h2M19.5 12h2M5.3 5.3l1.4 1.4M17.3 17.3l1.4 1.4M18.7 5.3l-1.4 1.4M6.7 17.3l-1.4 1.4",
  dark: "M20 14.2A8.2 8.2 0 0 1 9.8 4a8.2 8.2 0 1 0 10.2 10.2Z",
  leave: "M14 4.5H6.5v15H14M11 12h9.5M17 8.2l3.8 3.8l-3.8 3.8",
  send: "M12 19.5V5M5.8 11.2L12 5l6.2 6.2",
  attach: "M4 5h16v14H4zM4 16l4.5-5l4 4.2l2.5-2.4L20 17M15.2 9.2h.1",
  close: "M5.5 5.5l13 13M18.5 5.5l-13 13",
  download: "M12 4v11.5M6.8 10.8L12 16l5.2-5.2M5 20h14",
  knowledge: "M5 4.5h5.5a1.5 1.5 0 0 1 1.5 1.5v13.5a1.5 1.5 0 0 0-1.5-1.5H5zM19 4.5h-5.5A1.5 1.5 0 0 0 12 6v13.5a1.5 1.5 0 0 1 1.5-1.5H19z",
  people: "M9 11.5a3 3 0 1 0 0-6a3 3 0 0 0 0 6ZM3.5 19c.4-3 2.6-4.6 5.5-4.6s5.1 1.6 5.5 4.6M15.5 5.8a2.8 2.8 0 0 1 0 5.4M17.2 14.8c1.9.6 3 2 3.3 4.2",
  remove: "M5 7h14M9.5 7V4.5h5V7M7 7l.8 12.5h8.4L17 7M10.5 10.5v5.5M13.5 10.5v5.5",
  lock: "M6.5 11h11v8.5h-11zM9 11V8a3 3 0 0 1 6 0v3",
  find: "M10.5 4.5a6 6 0 1 0 0 12a6 6 0 0 0 0-12ZM15 15l5 5",
  upload: "M12 16V4.8M6.8 10L12 4.8l5.2 5.2M5 20h14",
  gallery: "M4 4h7v7H4zM13 4h7v5h-7zM13 11h7v9h-7zM4 13h7v7H4z",
  chat: "M4 5h16v11H11l-4.5 4v-4H4Z",
  check: "M5.5 12.5l4.3 4.3L18.5 8",
  redo: "M19 12a7 7 0 1 1-2.2-5.1M19 3.5V8h-4.5",
  vary: "M4 8c3-4 5 4 8 0s5 4 8 0M4 15c3-4 5 4 8 0s5 4 8 0",
  enlarge: "M14 4.5h5.5V10M10 19.5H4.5V14M19.5 4.5l-6.2 6.2M4.5 19.5l6.2-6.2",
  previous: "M14.5 5.5L8 12l6.5 6.5",
  next: "M9.5 5.5L16 12l-6.5 6.5",
};

export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}

/** An id for something this browser sends. `crypto.randomUUID` would not exist on plain http in a local network. */
export function newId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export function toast(kind, text) {
  const node = el("p", { class: `toast toast-${kind}` }, text);
  byId("toasts").append(node);
  setTimeout(() => node.classList.add("leaving"), 4500);
  setTimeout(() => node.remove(), 5000);
}

/** A picture in full: arrow keys turn the page, a click beside it closes. */
export function turning(dialog, turn) {
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog || event.target.classList.contains("stage")) dialog.close();
  });
  dialog.addEventListener("keydown", (event) => {
    const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (move) turn(move);
  });
}
