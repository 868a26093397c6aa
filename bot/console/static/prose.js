// A document's text as it reads: paragraphs as they stand, Markdown tables as tables, long ones folded.

import { el, word } from "./dom.js";
import { rendered } from "./markup.js";

const LONG = 260; // characters from which a text is folded
const ROW = /^\s*\|.*\|\s*$/;
const RULE = /^[\s|:-]+$/;

/** The text as an element; nothing of it becomes HTML but tables and **bold**. */
export function prose(text) {
  const blocks = [];
  for (const line of text.split("\n")) {
    const kind = ROW.test(line) ? "table" : "text";
    if (blocks.at(-1)?.kind === kind) blocks.at(-1).lines.push(line);
    else blocks.push({ kind, lines: [line] });
  }
  const made = blocks.filter(({ lines }) => lines.some((line) => line.trim()));
  return el("div", { class: "prose" }, ...made.map(({ kind, lines }) => (kind === "table" ? table(lines) : el("p", {}, rendered(lines.join("\n").trim())))));
}

/** The same, folded when it is long. */
export function folded(text) {
  const node = prose(text);
  if (text.length <= LONG && text.split("\n").length < 8) return node;
  node.classList.add("folded");
  const button = el("button", { type: "button", class: "quiet", "aria-expanded": "false" }, word("find_more"));
  button.addEventListener("click", () => {
    const shut = node.classList.toggle("folded");
    button.textContent = word(shut ? "find_more" : "find_less");
    button.setAttribute("aria-expanded", String(!shut));
  });
  return el("div", { class: "unfolding" }, node, button);
}

function table(lines) {
  const rows = lines.map((line) => line.trim().replace(/^\||\|$/g, "").split("|").map((cell) => cell.trim()));
  const ruled = rows.length > 1 && RULE.test(lines[1]);
  const body = rows.slice(ruled ? 2 : 0).map((cells) => el("tr", {}, ...cells.map((cell) => el("td", {}, rendered(cell)))));
  const head = ruled ? el("thead", {}, el("tr", {}, ...rows[0].map((cell) => el("th", {}, rendered(cell))))) : null;
  return el("div", { class: "scrolling" }, el("table", {}, head, el("tbody", {}, ...body)));
}
