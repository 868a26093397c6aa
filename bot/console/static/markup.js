// The whole markup there is: **bold**, `code`, [n] where source n exists, and addresses of our own gallery. Everything
// else stays text.

import { el } from "./dom.js";

const TOKEN = /\*\*([^*\n]+)\*\*|`([^`\n]+)`|\[(\d{1,3})\]|(https?:\/\/[^\s/]+\/gallery(?:\?\S*)?)/g;

/** Text as nodes. `sources` are the numbered sources that [n] may lead to. */
export function rendered(text, sources = []) {
  const fragment = document.createDocumentFragment();
  let end = 0;
  for (const match of text.matchAll(TOKEN)) {
    const node = token(match, sources);
    if (node === null) continue;
    fragment.append(text.slice(end, match.index), node);
    end = match.index + match[0].length;
  }
  fragment.append(text.slice(end));
  return fragment;
}

function token([, bold, code, mark, page], sources) {
  if (bold !== undefined) return el("strong", {}, rendered(bold, sources));
  if (code !== undefined) return el("code", {}, code);
  if (page !== undefined) return page.startsWith(`${location.origin}/`) ? el("a", { href: page }, page) : null;
  const source = sources.find((one) => one.mark === Number(mark));
  return source ? sourceLink(source, { class: "mark", title: source.document }, mark) : null;
}

/** Where a source's original stands, if that is an address on the web. */
export function originalLink(source, label) {
  if (!/^https?:\/\//.test(source.url ?? "")) return null;
  return el("a", { class: "original", href: source.url, target: "_blank", rel: "noopener noreferrer" }, label);
}

export function sourceLink(source, attributes, ...children) {
  const href = `/passages/${Number(source.passage)}`;
  return el("a", { href, target: "_blank", rel: "noopener", ...attributes }, ...children);
}
