// The styles (LoRA) that stand behind --lora: what of a name is typed, and a line of the list that suggests them.

import { el } from "./dom.js";

const NAMED = /(?:^|\s)(?:--|—|–)(?:lora|adapter)[\s=:]+(?:[^\s,，+]+[,，+])*([^\s,，+:：]*)$/i;

/** What is typed of a style's name at the end of a text; null where none stands. */
export function typedStyle(text) {
  return NAMED.exec(text)?.[1] ?? null;
}

/** The cells of a style's line: its picture without and with it, name, usual weight, what it does. */
export function styleCells(style) {
  const picture = style.preview ? el("img", { src: style.preview, alt: "", width: 80, height: 40 }) : el("span", { class: "no-preview" });
  return [picture, el("b", {}, style.name), el("i", {}, String(style.weight)), el("span", {}, style.about)];
}
