// The map: a treemap that lays out only what can be seen, a list of the same for keyboard and screen reader, and a box
// that finds files.

import { hierarchy, treemap, treemapSquarify, type HierarchyRectangularNode } from "d3-hierarchy";
import type { Image } from "./data";
import { amount, change, h, placed, present, row, table, type Child } from "./dom";
import { directoryOf, root, type Item, type Roots, type State, type View } from "./items";
import { readTree, type Tree, type Weigh } from "./tree";
import { bytes, count, grouped, share, signed } from "./units";

/** The smallest area of a box, and of one that is shown with its content, in square pixels. */
const LEAST = 320;
const OPEN = 3200;
const DEEPEST = 8;
const HEADER = 18;
const FOUND = 50;

const LEGEND: [State, string][] = [
  ["added", "+ added"], ["grown", "▲ grown"], ["shrunk", "▼ shrunk"], ["removed", "− removed"], ["same", "unchanged"],
  ["app", "application layers"], ["base", "base image"], ["wasted", "hidden by later layers"],
];
const SIGNS: Partial<Record<State, string>> = { added: "+ ", grown: "▲ ", shrunk: "▼ ", removed: "− " };
const WORDS: Partial<Record<State, string>> = {
  added: "added", grown: "grown", shrunk: "shrunk", removed: "removed", same: "unchanged",
};

interface Shown {
  item: Item;
  kids: Shown[] | null;
}
type Box = HierarchyRectangularNode<Shown>;

const read = new Map<string, Promise<Tree>>();

/** The map of an image, shown once its files are read. */
export function mapOf(image: Image): HTMLElement {
  const place = h("div", { class: "map-place" });
  const show = (tree: Tree | null) => place.replaceChildren(new MapView({ tree, image, weigh: startsWith(image, tree) }).element);
  if (image.files === null) {
    show(null);
    return place;
  }
  const tree = read.get(image.files) ?? readTree(image.files);
  read.set(image.files, tree);
  void tree.then(show);
  return place;
}

/** Starts with what grew, if anything did; else with what is in the image. */
function startsWith(image: Image, tree: Tree | null): Weigh {
  const flattened = image.figures.find((figure) => figure.name === "Flattened");
  const [head, base] = [flattened?.head ?? null, flattened?.base ?? null];
  if (!tree?.compared || head === null || base === null || base === 0) return "size";
  const isJudged = image.verdict === "fail" || image.verdict === "unenforced" || image.verdict === "warn";
  return Math.abs(head - base) >= (isJudged ? 1 : base / 100) ? "change" : "size";
}

class MapView {
  readonly element = h("section", { "aria-labelledby": "map-title", class: "map-section" });
  private readonly crumbs = h("nav", { "aria-label": "Position in the map", class: "crumbs" });
  private readonly area = h("div", { class: "map", role: "group", "aria-label":
    "Map. Arrow keys move, Enter opens, Escape goes back out. The list below has the same content." });
  private readonly detail = h("p", { class: "detail" });
  private readonly list = h("div", { class: "list" });
  private readonly legend = h("ul", { class: "legend", "aria-label": "Colours" });
  private readonly said = h("p", { class: "visually-hidden", role: "status" });
  private readonly results = h("div", { class: "results", "aria-live": "polite" });
  private readonly box = h("input", {
    type: "search", id: "find", autocomplete: "off", spellcheck: "false", placeholder: "e.g. lib python .so", input: () => this.find(),
  });
  private view: View;
  private at: Item | null = null;
  private boxes: Box[] = [];
  private marked: number | null = null;
  private asked = 0;

  constructor(private readonly roots: Roots) {
    this.view = roots.tree ? "directories" : "packages";
    this.element.append(
      h("h2", { id: "map-title" }, "What is in the image"),
      h("div", { class: "controls" }, this.views(), this.weighs(), this.finder()),
      this.results, this.crumbs, h("div", { class: "map-and-list" }, h("div", {}, this.area, this.detail, this.legend), this.list), this.said,
    );
    this.area.addEventListener("keydown", (event) => this.key(event));
    this.area.addEventListener("click", (event) => this.click(event));
    for (const name of ["pointerover", "focusin"]) this.area.addEventListener(name, (event) => this.describe(this.boxOf(event)));
    let width = 0;
    new ResizeObserver(() => {
      if (this.area.clientWidth === width) return;
      width = this.area.clientWidth;
      this.draw();
    }).observe(this.area);
    this.go(root(this.view, this.roots));
  }

  private choice<T extends string>(label: string, options: [T, string][], now: T, choose: (value: T) => void): HTMLElement {
    const buttons = options.map(([value, text]) => h("button", { type: "button", "aria-pressed": String(value === now), click: (event: Event) => {
      buttons.forEach((button) => button.setAttribute("aria-pressed", String(button === event.currentTarget)));
      choose(value);
    } }, text));
    return h("div", { class: "choice", role: "group", "aria-label": label }, h("span", { "aria-hidden": "true" }, label), ...buttons);
  }

  private views(): Child {
    const { tree, image } = this.roots;
    const options: [View, string][] = [];
    if (tree) options.push(["directories", "Directories"], ["layers", "Layers"]);
    if (image.packages?.complete) options.push(["packages", "Packages"]);
    return options.length > 1 && this.choice("View", options, this.view, (view) => {
      this.view = view;
      this.go(root(view, this.roots));
    });
  }

  private weighs(): Child {
    if (!this.roots.tree?.compared) return null;
    return this.choice<Weigh>("Area", [["size", "Size"], ["change", "Change"]], this.roots.weigh, (weigh) => {
      this.roots.weigh = weigh;
      this.go(root(this.view, this.roots));
    });
  }

  private finder(): Child {
    return this.roots.tree && h("div", { class: "finder" }, h("label", { for: "find" }, "Find files"), this.box);
  }

  /** Shows the content of an item. */
  private go(item: Item | null, focus = false): void {
    this.at = item;
    this.draw();
    if (item) this.said.textContent = `${item.title}, ${bytes(item.head)}`;
    if (focus) (this.area.querySelector<HTMLElement>("[tabindex='0']") ?? this.area).focus();
  }

  private draw(): void {
    const item = this.at;
    if (!item || item.weight <= 0) {
      const unchanged = this.roots.weigh === "change";
      this.area.replaceChildren(h("p", { class: "empty" }, unchanged ? "Nothing differs from the baseline here." : "There is nothing to show."));
      this.boxes = [];
    } else {
      this.lay(item);
    }
    this.path();
    this.contents();
    this.describe(null);
    const drawn = new Set(this.boxes.filter((box) => !box.children).map((box) => box.data.item.state));
    const entries = LEGEND.filter(([state]) => drawn.has(state));
    this.legend.replaceChildren(...entries.map(([state, text]) => h("li", {}, h("i", { class: `swatch s-${state}` }), text)));
  }

  private lay(item: Item): void {
    const { clientWidth: width, clientHeight: height } = this.area;
    if (width === 0) return;
    const top = hierarchy(shown(item, width * height, 0), (one) => one.kids);
    top.sum((one) => (one.kids ? 0 : one.item.weight));
    const layout = treemap<Shown>()
      .tile(treemapSquarify.ratio(1.3))
      .size([width, height])
      .round(true)
      .paddingInner(1)
      .paddingTop((box) => (box.depth === 0 ? 0 : hasHeader(box as Box) ? HEADER : 2))
      .paddingRight((box) => (box.depth === 0 ? 0 : 2))
      .paddingBottom((box) => (box.depth === 0 ? 0 : 2))
      .paddingLeft((box) => (box.depth === 0 ? 0 : 2));
    this.boxes = layout(top).descendants().slice(1);
    const cells = this.boxes.map((box, index) => this.cell(box, index, width, height));
    cells[0]?.setAttribute("tabindex", "0");
    this.area.replaceChildren(...cells);
  }

  private cell(box: Box, index: number, width: number, height: number): HTMLElement {
    const { item } = box.data;
    const [w, tall] = [box.x1 - box.x0, box.y1 - box.y0];
    const look = `cell ${box.children ? "frame" : `s-${item.state}`}${item.file !== undefined && item.file === this.marked ? " marked" : ""}`;
    const text = (SIGNS[box.children ? "plain" : item.state] ?? "") + item.name;
    const fits = w > 46 && tall > 15;
    const label = fits ? h("span", { class: "label" }, text) : null;
    const value = fits && w > 60 && (box.children ? w > 150 : tall > 34) ? h("span", { class: "value" }, this.valueOf(item)) : null;
    const cell = box.depth === 1
      ? h("button", { type: "button", class: look, tabindex: -1, "aria-label": this.spoken(item, text), "data-box": index }, label, value)
      : h("div", { class: look, "aria-hidden": "true", "data-box": index }, label, value);
    // In percent, so that the map adapts to the width of a printed page.
    cell.style.left = `${(box.x0 / width) * 100}%`;
    cell.style.top = `${(box.y0 / height) * 100}%`;
    cell.style.width = `${(w / width) * 100}%`;
    cell.style.height = `${(tall / height) * 100}%`;
    return cell;
  }

  private valueOf(item: Item): string {
    return this.roots.weigh === "change" ? signed(item.head - item.base, bytes) : bytes(item.head);
  }

  /** Starts with the text of the box, which is what users of speech input say. */
  private spoken(item: Item, text: string): string {
    const differs = this.roots.tree?.compared && item.head !== item.base;
    const other = this.roots.weigh === "change" ? bytes(item.head) : differs && signed(item.head - item.base, bytes);
    return [`${text} ${this.valueOf(item)}`, differs && WORDS[item.state], other].filter(Boolean).join(", ");
  }

  private boxOf(event: Event): Box | null {
    const cell = event.target instanceof Element ? event.target.closest<HTMLElement>("[data-box]") : null;
    return cell ? (this.boxes[Number(cell.dataset.box)] ?? null) : null;
  }

  private click(event: Event): void {
    const box = this.boxOf(event);
    if (!box) return;
    // The innermost directory at the pointer; for a key press, the box with the focus.
    const pressed = event instanceof MouseEvent && event.detail === 0;
    const inner = pressed ? [box] : box.ancestors().filter((one) => one.depth > 0);
    const open = inner.find((one) => one.data.item.children);
    if (open) this.go(open.data.item, pressed);
    else this.describe(box);
  }

  private key(event: KeyboardEvent): void {
    if (event.key === "Escape" || event.key === "Backspace") {
      const up = this.at?.parent?.();
      if (!up) return;
      event.preventDefault();
      this.go(up, true);
      return;
    }
    const moves: Record<string, [number, number]> = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const now = this.boxOf(event);
    const move = moves[event.key];
    if (!move || !now) return;
    event.preventDefault();
    const next = nearest(now, this.boxes.filter((box) => box.depth === 1), move);
    if (!next) return;
    this.area.querySelectorAll("[tabindex='0']").forEach((cell) => cell.setAttribute("tabindex", "-1"));
    const cell = this.area.querySelector<HTMLElement>(`[data-box='${this.boxes.indexOf(next)}']`);
    cell?.setAttribute("tabindex", "0");
    cell?.focus();
  }

  /** One line about the item under the pointer. */
  private describe(box: Box | null): void {
    const item = box?.data.item;
    if (!item) {
      this.detail.replaceChildren(this.at?.parent ? "Click a box to zoom in, Escape to go back out." : "Click a box to zoom in.");
      return;
    }
    const compared = this.roots.tree?.compared && item.state !== "wasted";
    const layer = item.kind !== "layer" && item.layer !== undefined && this.roots.image.layers.find((one) => one.number === item.layer! + 1);
    this.detail.replaceChildren(...present([
      h("code", {}, item.title), " ", amount(item.head), compared && item.head !== item.base && h("span", {}, " (", change(item.head - item.base), ")"),
      item.kind === "directory" && `, ${count(item.files, "file", "files")}`,
      layer && h("span", {}, ", stored by ", placed(layer.place), " ", h("code", {}, layer.text)),
    ]));
  }

  private path(): void {
    const trail: Item[] = [];
    for (let at = this.at; at; at = at.parent?.() ?? null) trail.unshift(at);
    const crumbs = trail.map((item, index) => {
      const name = index === 0 && item.kind === "directory" ? "/" : item.name;
      return h("li", {}, index === trail.length - 1
        ? h("span", { "aria-current": "location" }, name)
        : h("button", { type: "button", class: "link", click: () => this.go(item) }, name));
    });
    this.crumbs.replaceChildren(h("ol", {}, ...crumbs), this.at ? h("span", { class: "total" }, amount(this.at.head),
      this.roots.tree?.compared && this.at.head !== this.at.base ? h("span", {}, " ", change(this.at.head - this.at.base)) : null) : "");
  }

  private contents(): void {
    const item = this.at;
    const items = item?.children && item.weight > 0 ? item.children(item.weight / 1000) : [];
    const compared = this.roots.tree?.compared ?? false;
    const rows = items.map((one) => row(
      [one.children ? h("button", { type: "button", class: "link", click: () => this.open(one) }, one.name) : h("span", { class: one.file === this.marked && one.file !== undefined ? "marked" : null }, one.name)],
      [amount(one.head)],
      ...(compared ? [[one.head === one.base || one.state === "wasted" ? "" : change(one.head - one.base)]] : []),
      [h("span", { class: "share" }, share(one.weight, item!.weight))],
    ));
    const heads = ["Name", "Size", ...(compared ? ["Change"] : []), "Share"];
    const of = this.roots.weigh === "change" ? "Largest changes in" : "Largest in";
    this.list.replaceChildren(...present(table(`${of} ${item?.title ?? ""}`, heads, rows, 10)));
  }

  private open(item: Item): void {
    this.go(item);
    const first = this.list.querySelector<HTMLElement>("button.link");
    (first ?? this.crumbs.querySelector<HTMLElement>("button"))?.focus();
  }

  private find(): void {
    const asked = ++this.asked;
    const { tree } = this.roots;
    const words = this.box.value.toLowerCase().split(/\s+/).filter(Boolean).map((word) => word.replace(/^\/(?=.)/, ""));
    if (!tree || words.length === 0) {
      this.results.replaceChildren();
      return;
    }
    void tree.search(words, FOUND, () => asked === this.asked).then((found) => {
      if (!found) return;
      if (found.count === 0) {
        this.results.replaceChildren(h("p", {}, "No file has this in its path."));
        return;
      }
      const rows = found.files.map((file) => {
        const [head, base] = [Math.max(tree.head[file], 0), Math.max(tree.base[file], 0)];
        const name = h("button", { type: "button", class: "link", click: () => this.show(file) }, `/${tree.filePath(file)}`);
        return row([name], [tree.head[file] < 0 ? "removed" : amount(head)], ...(tree.compared ? [[head === base ? "" : change(head - base)]] : []));
      });
      const most = found.count > rows.length ? `, the largest ${grouped(rows.length)} of them` : "";
      const label = `${count(found.count, "file", "files")}, ${bytes(found.bytes)}${most}`;
      this.results.replaceChildren(...present(table(label, ["Path", "Size", ...(tree.compared ? ["Change"] : [])], rows, 8)));
    });
  }

  /** Shows a file that was found, in its directory. */
  private show(file: number): void {
    const { tree } = this.roots;
    if (!tree) return;
    this.marked = file;
    this.view = "directories";
    const differs = Math.max(tree.head[file], 0) !== Math.max(tree.base[file], 0);
    const weigh: Weigh = tree.head[file] < 0 || (this.roots.weigh === "change" && differs) ? "change" : "size";
    this.roots.weigh = weigh;
    for (const [label, text] of [["View", "Directories"], ["Area", weigh === "size" ? "Size" : "Change"]]) {
      this.element.querySelectorAll(`[aria-label='${label}'] button`).forEach((button) => button.setAttribute("aria-pressed", String(button.textContent === text)));
    }
    this.go(directoryOf({ ...this.roots, tree }, file), true);
    this.area.querySelector<HTMLElement>(".marked")?.focus();
    this.area.scrollIntoView({ block: "nearest" });
  }
}

function hasHeader(box: Box): boolean {
  return box.x1 - box.x0 > 48 && box.y1 - box.y0 > 40;
}

/** An item with those of its contents that fit. */
function shown(item: Item, area: number, depth: number): Shown {
  if (!item.children || depth >= DEEPEST || (depth > 0 && (area < OPEN || item.closed))) return { item, kids: null };
  const kids = item.children((LEAST / area) * item.weight);
  // A directory of tiny files is one box.
  if (depth > 0 && kids.length === 1 && kids[0].kind === "rest") return { item, kids: null };
  return { item, kids: kids.map((kid) => shown(kid, (kid.weight / item.weight) * area, depth + 1)) };
}

/** The next box in a direction: the nearest one, preferring boxes straight ahead. */
function nearest(from: Box, boxes: Box[], [right, down]: [number, number]): Box | null {
  const middle = (box: Box) => [(box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2];
  const [x, y] = middle(from);
  let best: [number, Box] | null = null;
  for (const box of boxes) {
    const [otherX, otherY] = middle(box);
    const ahead = right * (otherX - x) + down * (otherY - y);
    if (box === from || ahead <= 0) continue;
    const aside = Math.abs(down * (otherX - x)) + Math.abs(right * (otherY - y));
    const distance = ahead + 2 * aside;
    if (!best || distance < best[0]) best = [distance, box];
  }
  return best?.[1] ?? null;
}
