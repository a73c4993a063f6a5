// The whole page except the map.

import type { Cause, Figure, Finding, Image, Layer, Place, Point, Removable, Verdict, Waste } from "./data";
import { amount, change, few, h, layerName, placed, prose, row, svg, table, type Child } from "./dom";
import { bytes, count, growth, grouped, signed } from "./units";

const WORDS: Record<Verdict, string> = { pass: "Pass", warn: "Warning", fail: "Fail", accepted: "Accepted", unenforced: "Not enforced" };

export function badge(verdict: Verdict | null): HTMLElement | null {
  return verdict && h("span", { class: `badge ${verdict}` }, WORDS[verdict]);
}

/** Verdict, amount, cause and fix of one image. */
export function answer(image: Image): HTMLElement {
  const heads = image.causes.filter((cause) => Math.sign(cause.delta) === sign(image));
  return h("section", { class: "answer", "aria-label": "Result" },
    ...heads.length ? [h("h2", {}, sign(image) > 0 ? "Why it grew" : "Why it shrank"), causes(heads)] : [],
    image.moved.length > 0 && moved(image),
    image.findings.length > 0 && h("h2", {}, "Limits"),
    image.findings.length > 0 && h("ul", { class: "findings" }, ...image.findings.map(finding)),
    figures(image.figures),
    small(image),
  );
}

function moved(image: Image): HTMLElement {
  return h("p", { class: "small" }, "Moved to another instruction, no change in size: ", ...image.moved.slice(0, 3).flatMap((one, index): Child[] => [
    index > 0 && "; ", amount(one.bytes), one.packages.length > 0 && ` (${one.packages.join(", ")})`, " from ", layerName(one.from), " to ", layerName(one.to),
  ]), image.moved.length > 3 && ` and ${image.moved.length - 3} more`);
}

function sign(image: Image): number {
  return Math.sign(image.causes.reduce((sum, cause) => sum + cause.delta, 0));
}

export function figures(all: Figure[]): HTMLElement {
  return h("dl", { class: "figures" }, ...all.map((figure) => {
    const { head, base, unit } = figure;
    const delta = head !== null && base !== null ? head - base : null;
    const more = delta !== null && delta !== 0 && base !== null && unit === "bytes" ? growth(delta, base) : "";
    return h("div", {},
      h("dt", { title: figure.help }, figure.name),
      h("dd", { class: "big" }, head === null && base !== null ? "removed" : amount(head, unit)),
      base !== null && h("dd", { class: "change" }, delta === 0 ? "unchanged" : delta === null ? h("span", {}, "was ", amount(base, unit)) : change(delta, unit), more && ` (${more})`),
    );
  }));
}

function causes(all: Cause[]): HTMLElement {
  const item = (cause: Cause) => h("li", {},
    h("span", { class: "cause" }, change(cause.delta), " ", placed(cause.place), cause.place && " ", h("code", { class: "step" }, cause.text)),
    cause.parts.length > 0 && h("span", { class: "parts" }, ...cause.parts.slice(0, 3).flatMap(([text, delta], index): Child[] => [index > 0 && ", ", h("code", {}, text), " ", change(delta)])));
  const list = h("ol", { class: "causes" });
  return h("div", {}, ...few(all.map(item), 3, list, `Show all ${grouped(all.length)} instructions`));
}

function finding(one: Finding): HTMLElement {
  return h("li", { class: one.severity },
    badge(one.severity), " ", h("strong", {}, one.rule), " ", ...prose(one.message), one.place && " ", placed(one.place),
    one.help && h("p", { class: "help" }, h("strong", {}, "Fix: "), ...prose(one.help)));
}

function small(image: Image): HTMLElement {
  const limits = image.limits.flatMap(([key, value, source]): Child[] => [" ", h("code", {}, `${key} = ${value}`), source && ` (${source})`]);
  const parts: Child[][] = [
    image.baseline ? [image.baseline] : [], image.lines ? [image.lines] : [], image.limits.length > 0 ? ["limits:", ...limits] : [],
  ].filter((part) => part.length > 0);
  return h("p", { class: "small" }, ...parts.flatMap((part, index) => [index > 0 && "; ", ...part]));
}

/** One row per image, if there are several. */
export function images(all: Image[], now: number, choose: (index: number) => void): HTMLElement {
  const names = new Set(all.map((image) => image.figures[0]).filter((figure) => figure && figure.head !== null).map((figure) => figure.name));
  const rows = all.map((image, index) => {
    const [figure] = image.figures;
    const delta = figure && figure.head !== null && figure.base !== null ? figure.head - figure.base : null;
    const name = image.platform && all.filter((other) => other.name === image.name).length > 1 ? `${image.name} ${image.platform}` : image.name;
    const button = h("button", { type: "button", class: "link", "aria-current": index === now ? "true" : null, click: () => choose(index) }, name);
    return row([button], [badge(image.verdict)], [figure && figure.head === null && figure.base !== null ? "removed" : amount(figure?.head ?? null), names.size > 1 && figure && figure.head !== null && ` ${figure.name.toLowerCase()}`], [delta === null ? "" : change(delta)]);
  });
  const cells = table("Images", ["Image", "Result", names.size > 1 ? "Size" : all[0]?.figures[0]?.name ?? "Size", "Change"], rows, 15);
  return h("section", { "aria-label": "Images" }, ...cells);
}

export function ladder(image: Image): HTMLElement | null {
  if (image.layers.length === 0) return null;
  const widest = Math.max(...image.layers.map((layer) => Math.max(layer.head ?? 0, layer.base ?? 0)), 1);
  const rows: HTMLElement[] = [];
  const base = image.layers.filter((layer) => layer.ofBase && layer.status !== "removed");
  const isCalm = (layer: Layer) => layer.ofBase === true && (layer.status === null || layer.status === "unchanged");
  const calm = image.layers.filter(isCalm);
  if (calm.length > 2) rows.push(folded(calm, base.length, widest));
  const kept = image.layers.filter((layer) => calm.length <= 2 || !isCalm(layer));
  rows.push(...kept.map((layer) => rung(layer, widest)));
  return section("Layers", "layers", h("ol", { class: "ladder" }, ...rows));
}

function folded(layers: Layer[], all: number, widest: number): HTMLElement {
  const known = layers.every((layer) => layer.head !== null);
  const sum = known ? layers.reduce((total, layer) => total + (layer.head ?? 0), 0) : null;
  const what = layers.length < all ? `Base image: ${layers.length} unchanged layers` : `Base image: ${layers.length} layers`;
  return h("li", {}, h("details", {}, h("summary", { class: "rung" },
    h("span", { class: "no" }, "1–" + layers.length), h("span", { class: "what" }, what), h("span", { class: "sizes" }, amount(sum))),
    h("ol", { class: "ladder" }, ...layers.map((layer) => rung(layer, widest)))));
}

function rung(layer: Layer, widest: number): HTMLElement {
  const size = layer.head ?? layer.base;
  const bar = h("span", { class: `bar b-${layer.status ?? "unchanged"}`, "aria-hidden": "true" });
  bar.style.width = `${(Math.max(layer.head ?? 0, layer.status === "removed" ? (layer.base ?? 0) : 0) / widest) * 100}%`;
  const differs = layer.status !== null && layer.status !== "unchanged";
  const facts: [string, Child][] = [
    ["Instruction", h("code", {}, layer.text)],
    ["Dockerfile", placed(layer.place)],
    ["In the baseline", differs && layer.base !== null && amount(layer.base)],
    ["Compressed", layer.compressed !== null && amount(layer.compressed)],
    ["Hidden by later layers", layer.wasted !== null && layer.wasted > 0 && amount(layer.wasted)],
    ["Diff ID", h("code", {}, layer.diffId)],
  ];
  return h("li", { class: layer.status === "removed" ? "gone" : null }, h("details", {}, h("summary", { class: "rung" },
    h("span", { class: "no" }, layer.number === null ? "–" : String(layer.number)),
    h("span", { class: "what" }, placedText(layer.place), h("code", { class: "step" }, layer.text), h("span", { class: "track" }, bar)),
    h("span", { class: "sizes" }, amount(size), differs && h("span", { class: `status t-${layer.status}` }, layer.status, layer.delta !== null && layer.delta !== 0 && " ", layer.delta !== null && layer.delta !== 0 && change(layer.delta)))),
    h("dl", { class: "facts" }, ...facts.filter(([, value]) => value).flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]))));
}

/** A place without a link, for elements that open and close. */
function placedText(place: Place | null): HTMLElement | null {
  return place && h("code", { class: "place" }, `${place.path}:${place.line}`);
}

export function packages(image: Image): HTMLElement | null {
  const { packages: found } = image;
  if (!found || found.rows.length === 0) return null;
  const compared = found.summary !== "" || !found.complete;
  const differs = found.rows.filter((one) => one[6] !== null && one[6] !== 0 || one[2] !== one[3]);
  const rows = (compared ? differs : [...found.rows].sort((a, b) => (b[5] ?? 0) - (a[5] ?? 0))).map(([name, type, from, to, base, head, delta, layer]) => {
    const version = !compared ? (to ?? "") : from !== null && to !== null && from !== to ? `${from} → ${to}` : to ?? `${from ?? ""} removed`;
    const by = image.layers.find((one) => one.number === layer);
    return row([h("code", {}, name), " ", h("span", { class: "version" }, `${version} (${type})`)],
      [compared ? (delta === null ? "" : change(delta)) : amount(head ?? base)], [by?.place ? placed(by.place) : layer === null ? "" : `layer ${layer}`]);
  });
  if (rows.length === 0) return null;
  const label = compared ? `Packages that differ: ${found.summary}` : `${grouped(rows.length)} packages, largest first`;
  return section("Packages", "packages", ...table(label, ["Package", compared ? "Change" : "Size", "Layer"], rows));
}

/** How containers are started. Values of variables and labels may be secrets: only their names are known. */
export function config(image: Image): HTMLElement | null {
  const { config: found } = image;
  if (!found) return null;
  const cell = (text: string): Child => text && h("code", {}, text);
  const rows = found.rows.map(([part, base, head]) => row([part], [cell(base)], [cell(head)]));
  return section("Config", "config", ...table(found.summary, ["Config", "Baseline", "Now"], rows));
}

export function waste(image: Image): HTMLElement | null {
  if (image.waste.length === 0) return null;
  const item = (one: Waste) => h("li", {},
    h("span", { class: "cause" }, amount(one.bytes), " ", h("code", {}, `/${one.path}`), one.files > 1 && ` (${count(one.files, "file", "files")})`),
    h("span", { class: "parts" }, "Stored by ", layerName(one.storedBy), ", hidden by ", layerName(one.hiddenBy)),
    h("span", { class: "help" }, ...prose(one.help)));
  const list = h("ol", { class: "causes" });
  return section("Wasted", "waste", h("p", { class: "lead" }, "Files that one layer stores and a later one deletes or replaces. They are downloaded and no container sees them."),
    ...few(image.waste.map(item), 6, list, `Show all ${grouped(image.waste.length)}`));
}

export function removable(image: Image): HTMLElement | null {
  if (image.removable.length === 0) return null;
  const own = image.removable.filter((one) => !one.ofBase && one.note === "");
  const base = image.removable.filter((one) => one.ofBase && one.note === "");
  const other = image.removable.filter((one) => one.note !== "");
  const item = (one: Removable) => h("li", {},
    h("span", { class: "cause" }, amount(one.bytes), " ", h("strong", {}, one.what), ` (${one.group})`, one.note && `, ${one.note}`),
    h("span", { class: "parts" }, ...one.where.slice(0, 3).flatMap((path, index): Child[] => [index > 0 && ", ", h("code", {}, path)]),
      one.where.length > 0 && ", ", "from ", layerName(one.layer)),
    h("span", { class: "help" }, ...prose(one.help)));
  const part = (title: string, found: Removable[], open: boolean): Child => {
    if (found.length === 0) return null;
    const list = h("ol", { class: "causes" });
    const sum = found.reduce((total, one) => total + one.bytes, 0);
    return h("details", { open }, h("summary", {}, `${title}: `, amount(sum)), ...few(found.map(item), 8, list, `Show all ${grouped(found.length)}`));
  };
  return section("Removable", "removable", h("p", { class: "lead" }, "Files that the image ships and does not need to run: build tools, build inputs, caches and leftovers."),
    part("In your layers", own, true), part("In the base image", base, own.length === 0), part("Not counted", other, false));
}

export function trend(image: Image): HTMLElement | null {
  const found = trendOf(image, "trend-title");
  return found && section("Trend", "trend", found);
}

export function trendOf(image: Image, id: string): HTMLElement | null {
  const { trend: points } = image;
  if (points.length < 2) return null;
  const updates = points.some((point) => point.update !== null);
  const rows = points.map((point, index) => row([h("code", {}, point.label), point.time !== null && h("span", { class: "version" }, ` ${point.time.slice(0, 10)}`)],
    [amount(point.size)], [index === 0 ? "" : change(point.size - points[index - 1].size)],
    ...(updates ? [point.update === null ? [""] : [point.update.estimated && "\u2264 ", amount(point.update.bytes)]] : []))).reverse();
  const list = h("details", {}, h("summary", {}, `${count(points.length, "measurement", "measurements")}`), ...table("Sizes, newest first", ["Commit", "Size", "Change", ...(updates ? ["Update"] : [])], rows, 20));
  return h("div", { id }, chart(points, image.maxSize), list);
}

function chart(points: Point[], maxSize: number | null): Node {
  // As wide as the page is now, so that its text has the same size as the page's.
  const width = Math.min(document.body.clientWidth - 40, 720);
  const CHART = { width, height: 200, left: 8, right: 76, top: 22, bottom: 14 };
  const sizes = points.map((point) => point.size);
  const low = Math.min(...sizes);
  const largest = Math.max(...sizes);
  // A limit far above all sizes would flatten the line.
  const limit = maxSize !== null && maxSize <= largest + Math.max(largest - low, largest / 4) ? maxSize : null;
  const high = Math.max(largest, limit ?? 0);
  const span = Math.max(high - low, high / 100, 1);
  const x = (index: number) => CHART.left + (index / (points.length - 1)) * (CHART.width - CHART.left - CHART.right);
  const y = (size: number) => CHART.top + ((high - size) / span) * (CHART.height - CHART.top - CHART.bottom);
  const line = points.map((point, index) => `${index === 0 ? "M" : "L"}${x(index).toFixed(1)} ${y(point.size).toFixed(1)}`).join("");
  const [first, last] = [points[0], points[points.length - 1]];
  const text = (size: number) => svg("text", { x: CHART.width - CHART.right + 8, y: y(size) + 4, class: "axis" }, document.createTextNode(bytes(size)));
  const labels = [largest, ...(limit !== null && Math.abs(y(limit) - y(largest)) > 16 ? [limit] : []), ...(y(low) - y(largest) > 16 ? [low] : [])];
  const spoken = `From ${bytes(first.size)} at ${first.label} to ${bytes(last.size)} at ${last.label}: ${signed(last.size - first.size, bytes)}. Lowest ${bytes(low)}, highest ${bytes(largest)}.${maxSize === null ? "" : ` Limit ${bytes(maxSize)}.`}`;
  return svg("svg", { viewBox: `0 0 ${CHART.width} ${CHART.height}`, role: "img", "aria-label": spoken, class: "chart" },
    ...labels.map((size) => svg("line", { x1: CHART.left, x2: CHART.width - CHART.right, y1: y(size), y2: y(size), class: "grid" })),
    ...(limit === null ? [] : [svg("line", { x1: CHART.left, x2: CHART.width - CHART.right, y1: y(limit), y2: y(limit), class: "limit" }),
      svg("text", { x: CHART.left, y: y(limit) - 5, class: "axis" }, document.createTextNode(`max-size ${bytes(limit)}`))]),
    svg("path", { d: line, class: "line" }),
    ...points.map((point, index) => svg("circle", { cx: x(index).toFixed(1), cy: y(point.size).toFixed(1), r: index === points.length - 1 ? 4 : points.length > 60 ? 0 : 2.5, class: "dot" },
      svg("title", {}, document.createTextNode(`${point.label}: ${bytes(point.size)}`)))),
    ...labels.map(text));
}

export function section(title: string, id: string, ...children: Child[]): HTMLElement {
  return h("section", { "aria-labelledby": id }, h("h2", { id }, title), ...children);
}
