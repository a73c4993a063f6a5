// Elements are made here and nowhere else. Texts become text nodes; no string is ever parsed as markup.

import { bytes, exact, grouped, signed } from "./units";
import type { LayerName, Place } from "./data";

export type Child = Node | string | null | false | undefined;
type Attributes = Record<string, string | number | boolean | EventListener | null | undefined>;

export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  set(element, attributes);
  element.append(...present(children));
  return element;
}

export function present(children: Child[]): (Node | string)[] {
  return children
    .filter((child): child is Node | string => child !== null && child !== false && child !== undefined)
    .map((child) => (typeof child === "string" ? visible(child) : child));
}

/** A sentence with code in backticks. An unclosed backtick stands for itself, unless the sentence was cut off there. */
export function prose(text: string): Child[] {
  const pieces = text.split("`");
  return pieces.map((piece, index) => {
    if (index % 2 === 0) return piece;
    const isClosed = index < pieces.length - 1 || piece.endsWith("…");
    return isClosed ? h("code", {}, piece) : `\`${piece}`;
  });
}

/** Escapes characters that are invisible, or that change the text direction. */
export function visible(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g,
    (char) => `\\u{${char.charCodeAt(0).toString(16)}}`);
}

export function svg(tag: string, attributes: Attributes = {}, ...children: Node[]): SVGElement {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  set(element, attributes);
  element.append(...children);
  return element;
}

function set(element: Element, attributes: Attributes): void {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(name, value);
    else element.setAttribute(name, value === true ? "" : visible(String(value)));
  }
}

export type Unit = "bytes" | "count";

/** An amount that can also be shown to the byte. */
export function amount(value: number | null, unit: Unit = "bytes"): HTMLElement {
  if (value === null) return h("span", { class: "unknown" }, "unknown");
  if (unit === "count") return h("data", { value }, grouped(value));
  return sized(h("data", { value, class: "bytes", title: exact(value) }));
}

export function change(delta: number | null, unit: Unit = "bytes"): HTMLElement {
  if (delta === null) return h("span", { class: "unknown" }, "unknown");
  const tone = delta > 0 ? "up" : delta < 0 ? "down" : "none";
  if (unit === "count") return h("data", { value: delta, class: tone }, signed(delta, grouped));
  return sized(h("data", { value: delta, class: `bytes delta ${tone}`, title: signed(delta, exact) }));
}

let toTheByte = false;

function sized(element: HTMLDataElement): HTMLDataElement {
  const value = Number(element.value);
  const text = toTheByte ? exact : bytes;
  element.textContent = element.classList.contains("delta") ? signed(value, text) : text(value);
  return element;
}

/** Switches all amounts to exact bytes, or back. */
export function showExact(on: boolean): void {
  toTheByte = on;
  document.querySelectorAll<HTMLDataElement>("data.bytes").forEach(sized);
}

/** `Dockerfile:5`, as a link if there is a URL for it. */
export function placed(place: Place | null): HTMLElement | null {
  if (!place) return null;
  const text = `${place.path}:${place.line}`;
  // The program derives the URL from the repository's; anything else does not become a link.
  if (!place.url?.startsWith("https://")) return h("code", { class: "place" }, text);
  return h("a", { class: "place", href: place.url, rel: "noopener noreferrer" }, h("code", {}, text));
}

export function layerName(layer: LayerName): HTMLElement {
  return h("span", { class: "layer-name" }, placed(layer.place), layer.place && " ", h("code", {}, layer.text));
}

/** Rows of which only the first few are shown at first. */
export function few(rows: HTMLElement[], shown: number, into: HTMLElement, all: string): Child[] {
  into.append(...rows.slice(0, shown));
  if (rows.length <= shown) return [into];
  const more = h("button", { type: "button", class: "more", click: () => {
    into.append(...rows.slice(shown));
    rows[shown].setAttribute("tabindex", "-1");
    rows[shown].focus();
    more.remove();
  } }, all);
  return [into, more];
}

export function table(label: string, heads: string[], rows: HTMLElement[], shown = 12): Child[] {
  const body = h("tbody");
  const cells = heads.map((head, index) => h("th", { scope: "col", class: index > 0 ? "number" : null }, head));
  const whole = h("table", {}, h("caption", {}, label), h("thead", {}, h("tr", {}, ...cells)), body);
  const [, more] = few(rows, shown, body, `Show all ${grouped(rows.length)}`);
  return [h("div", { class: "scroll" }, whole), more];
}

export function row(head: Child[], ...cells: Child[][]): HTMLElement {
  return h("tr", {}, h("th", { scope: "row" }, ...head), ...cells.map((cell) => h("td", { class: "number" }, ...cell)));
}
