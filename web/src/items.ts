// The items of the map, in three views: directories, packages and layers. They are made when they are shown.

import type { Image, Layer, Package, Packages } from "./data";
import { REMOVED, type Sums, type Tree, type Weigh } from "./tree";
import { count, grouped } from "./units";

export type View = "directories" | "packages" | "layers";

/** How an item is coloured: by its change, else by whether its layer belongs to the base image. */
export type State = "added" | "grown" | "shrunk" | "removed" | "same" | "base" | "app" | "plain" | "wasted";

export interface Item {
  name: string;
  /** Its full name. */
  title: string;
  kind: "directory" | "file" | "package" | "group" | "layer" | "rest";
  weight: number;
  head: number;
  base: number;
  files: number;
  state: State;
  /** Sorted by weight; items below `least` are combined into one. */
  children: ((least: number) => Item[]) | null;
  parent: (() => Item) | null;
  /** Shown as one box until it is opened itself. */
  closed?: boolean;
  file?: number;
  dir?: number;
  layer?: number;
}

export interface Roots {
  tree: Tree | null;
  image: Image;
  weigh: Weigh;
}

/** How many of the largest layers show their content; each takes a pass over the files. */
const OPEN_LAYERS = 16;
const HIDDEN = "Hidden by later layers";

export function root(view: View, roots: Roots): Item | null {
  const { tree, image, weigh } = roots;
  if (view === "packages") return image.packages?.complete ? packagesRoot(image, image.packages, weigh) : null;
  if (!tree) return null;
  if (view === "layers") return layersRoot(tree, image, weigh);
  return directory(context(tree, image, weigh, null, null), 0);
}

/** The directory that holds a file, in the view of directories. */
export function directoryOf(roots: Roots & { tree: Tree }, file: number): Item {
  return directory(context(roots.tree, roots.image, roots.weigh, null, null), roots.tree.dirOf(file));
}

function state(compared: boolean, head: number, base: number, own: number | null): State {
  if (compared) {
    if (head === base) return "same";
    if (base === 0) return "added";
    if (head === 0) return "removed";
    return head > base ? "grown" : "shrunk";
  }
  if (own === null) return "plain";
  return own > head / 2 ? "app" : "base";
}

/** How many of the lowest layers belong to the base image; null if unknown. */
function baseLayers(layers: Layer[]): number | null {
  if (layers.some((layer) => layer.number !== null && layer.ofBase === null)) return null;
  return layers.filter((layer) => layer.number !== null && layer.ofBase).length;
}

interface Context {
  tree: Tree;
  weigh: Weigh;
  layer: number | null;
  above: Item | null;
  below: number | null;
  sums: Sums;
}

const remembered = new WeakMap<Tree, Map<string, Sums>>();

function context(tree: Tree, image: Image, weigh: Weigh, layer: number | null, above: Item | null): Context {
  const known = remembered.get(tree) ?? new Map<string, Sums>();
  remembered.set(tree, known);
  const key = `${weigh} ${layer}`;
  const sums = known.get(key) ?? tree.sums(weigh, layer);
  known.set(key, sums);
  return { tree, weigh, layer, above, below: tree.compared ? null : baseLayers(image.layers), sums };
}

function directory(of: Context, at: number): Item {
  const { tree, sums } = of;
  let dir = at;
  // A directory that contains just one other is shown combined with it.
  for (let inner = dir > 0 ? only(of, dir) : 0; inner > 0; inner = only(of, dir)) dir = inner;
  let up = tree.parents[dir];
  while (up > 0 && sums.weight[up] === sums.weight[dir]) up = tree.parents[up];
  const path = tree.dirPath(dir);
  const outer = tree.dirPath(up);
  const [head, base] = [sums.head[dir], sums.base[dir]];
  return {
    name: dir === 0 ? (of.above?.name ?? "/") : `${outer ? path.slice(outer.length + 1) : path}/`,
    title: dir === 0 && of.above ? of.above.title : `/${path}${dir === 0 ? "" : "/"}`,
    kind: dir === 0 && of.above ? "layer" : "directory",
    weight: sums.weight[dir],
    head,
    base,
    files: sums.files[dir],
    state: state(tree.compared, head, base, ownShare(of, dir)),
    children: (least) => inside(of, dir, least),
    parent: dir > 0 ? () => directory(of, up) : of.above?.parent ?? null,
    dir,
  };
}

function ownShare(of: Context, dir: number): number | null {
  if (of.below === null) return null;
  if (of.layer !== null) return of.layer >= of.below ? of.sums.head[dir] : 0;
  // Visible only if a directory is too small to be opened: the layer of its first file stands for all.
  const first = of.tree.firstFile[dir];
  const isOwn = first < of.tree.layers.length && of.tree.layers[first] >= of.below;
  return isOwn ? of.sums.head[dir] : 0;
}

function only(of: Context, dir: number): number {
  const { tree, sums } = of;
  for (let child = dir + 1; child < tree.ends[dir]; child = tree.ends[child]) {
    if (sums.weight[child] > 0) return sums.weight[child] === sums.weight[dir] ? child : 0;
  }
  return 0;
}

function inside(of: Context, dir: number, least: number): Item[] {
  const { tree, sums, weigh, layer } = of;
  const items: Item[] = [];
  const rest = new Rest(tree.compared);
  // The last small directory, or, negative, the last small file.
  let last = 0;
  for (let child = dir + 1; child < tree.ends[dir]; child = tree.ends[child]) {
    const weight = sums.weight[child];
    if (weight <= 0) continue;
    if (weight >= least) items.push(directory(of, child));
    else {
      rest.add(weight, sums.head[child], sums.base[child], sums.files[child]);
      last = child;
    }
  }
  for (let file = tree.firstFile[dir]; file < tree.firstFile[dir + 1]; file++) {
    if (layer !== null && tree.layers[file] !== layer) continue;
    const weight = tree.weight(file, weigh);
    if (weight <= 0) continue;
    const [head, base] = [Math.max(tree.head[file], 0), Math.max(tree.base[file], 0)];
    if (weight >= least) items.push(fileItem(of, dir, file));
    else {
      rest.add(weight, head, base, 1);
      last = ~file;
    }
  }
  return ordered(items, rest, () => (last >= 0 ? directory(of, last) : fileItem(of, dir, ~last)));
}

function fileItem(of: Context, dir: number, file: number): Item {
  const { tree, below } = of;
  const [head, base] = [Math.max(tree.head[file], 0), Math.max(tree.base[file], 0)];
  const path = tree.dirPath(dir);
  const own = below === null ? null : tree.layers[file] >= below ? head : 0;
  return {
    name: tree.fileNames[file],
    title: `/${path ? `${path}/` : ""}${tree.fileNames[file]}`,
    kind: "file",
    weight: tree.weight(file, of.weigh),
    head,
    base,
    files: 1,
    state: fileState(tree, file, own),
    children: null,
    parent: () => directory(of, dir),
    file,
    layer: tree.layers[file],
  };
}

export function fileState(tree: Tree, file: number, own: number | null): State {
  if (tree.compared && tree.base[file] < 0) return "added";
  if (tree.head[file] < 0) return "removed";
  return state(tree.compared, tree.head[file] + 1, tree.base[file] + 1, own);
}

/** Items too small to be shown separately, unless there is only one. */
class Rest {
  private weight = 0;
  private head = 0;
  private base = 0;
  private files = 0;
  private items = 0;

  constructor(private readonly compared: boolean) {}

  add(weight: number, head: number, base: number, files: number): void {
    this.weight += weight;
    this.head += head;
    this.base += base;
    this.files += files;
    this.items++;
  }

  item(only: () => Item): Item | null {
    if (this.items <= 1) return this.items === 1 ? only() : null;
    const name = `${grouped(this.items)} smaller`;
    const { weight, head, base, files } = this;
    const shown = state(this.compared, head, base, null);
    return { name, title: name, kind: "rest", weight, head, base, files, state: shown, children: null, parent: null };
  }
}

function ordered(items: Item[], rest: Rest, only: () => Item): Item[] {
  items.sort((a, b) => b.weight - a.weight);
  const last = rest.item(only);
  return last ? [...items, last] : items;
}

function layersRoot(tree: Tree, image: Image, weigh: Weigh): Item {
  const below = baseLayers(image.layers);
  const layers = image.layers.filter((layer) => layer.number !== null);
  const sums = Array.from({ length: layers.length + 1 }, () => ({ weight: 0, head: 0, base: 0, files: 0 }));
  for (let file = 0; file < tree.layers.length; file++) {
    const sum = sums[tree.layers[file] + 1];
    if (!sum) continue;
    sum.weight += tree.weight(file, weigh);
    sum.head += Math.max(tree.head[file], 0);
    sum.base += Math.max(tree.base[file], 0);
    sum.files += tree.head[file] < 0 ? 0 : 1;
  }
  const all: Item = {
    name: "All layers", title: "All layers", kind: "group", weight: 0, head: 0, base: 0, files: 0, state: "plain",
    children: null, parent: null,
  };
  const item = (layer: number, name: string, title: string): Item => {
    const { weight, head, base, files } = sums[layer + 1];
    const wasted = weigh === "size" && layer !== REMOVED ? (layers[layer].wasted ?? 0) : 0;
    const own = below === null ? null : layer >= below ? head : 0;
    const shown: Item = {
      name, title, kind: "layer", weight: weight + wasted, head: head + wasted, base: base + wasted, files,
      state: state(tree.compared, head, base, own), children: null, parent: () => all, layer,
    };
    shown.children = (least) => {
      const items = directory(context(tree, image, weigh, layer, shown), 0).children!(least);
      return wasted === 0 ? items : [...items, {
        name: HIDDEN, title: `${HIDDEN}: files that layer ${layer + 1} stores and no container sees`, kind: "rest" as const,
        weight: wasted, head: wasted, base: wasted, files: 0, state: "wasted" as const, children: null, parent: () => shown,
      }].sort((a, b) => b.weight - a.weight);
    };
    return shown;
  };
  const items = layers.map((layer, index) => {
    const name = layer.place ? `${layer.place.path}:${layer.place.line} ${layer.text}` : layer.text;
    return item(index, name, `Layer ${index + 1}, ${name}`);
  });
  items.push(item(REMOVED, "Files of the baseline only", "Files that only the baseline has"));
  const shown = items.filter((one) => one.weight > 0).sort((a, b) => b.weight - a.weight);
  shown.forEach((one, index) => {
    addTo(all, one);
    one.closed = index >= OPEN_LAYERS;
  });
  all.children = (least) => folded(shown, least, tree.compared);
  return all;
}

function addTo(sum: Item, one: Item): void {
  sum.weight += one.weight;
  sum.head += one.head;
  sum.base += one.base;
  sum.files += one.files;
}

function folded(items: Item[], least: number, compared: boolean): Item[] {
  const rest = new Rest(compared);
  const large = items.filter((one) => {
    if (one.weight < least) rest.add(one.weight, one.head, one.base, one.files);
    return one.weight >= least;
  });
  return ordered(large, rest, () => items[items.length - 1]);
}

const TYPES: Record<string, string> = {
  deb: "Debian packages", apk: "Alpine packages", rpm: "RPM packages", pypi: "Python packages", npm: "npm packages",
  gem: "Ruby gems", golang: "Go modules", cargo: "Rust crates", maven: "Java packages", nuget: ".NET packages",
  conda: "Conda packages",
};

function typeName(type: string): string {
  return TYPES[type] ?? type;
}

function packagesRoot(image: Image, packages: Packages, weigh: Weigh): Item {
  const compared = packages.summary !== "" || packages.rows.some((one) => one[4] !== null);
  const flattened = image.figures.find((figure) => figure.name === "Flattened");
  const below = compared ? null : baseLayers(image.layers);
  const all: Item = {
    name: "All packages", title: "All packages", kind: "group", weight: 0, head: 0, base: 0, files: 0, state: "plain",
    children: null, parent: null,
  };
  const weight = (head: number, base: number) => (weigh === "size" ? head : Math.abs(head - base));
  const groups = new Map<string, { group: Item; items: Item[] }>();
  for (const row of packages.rows) {
    const [head, base] = [row[5] ?? 0, compared ? (row[4] ?? 0) : (row[5] ?? 0)];
    const found = groups.get(row[1]) ?? { group: empty(typeName(row[1]), () => all), items: [] };
    groups.set(row[1], found);
    const own = below === null || row[7] === null ? null : row[7] > below ? head : 0;
    const item: Item = {
      name: packageName(row), title: `${packageName(row)} (${row[1]})`, kind: "package", weight: weight(head, base), head,
      base, files: 0, state: state(compared, head, base, own), children: null, parent: () => found.group,
      layer: row[7] === null ? undefined : row[7] - 1,
    };
    if (item.weight === 0) continue;
    found.items.push(item);
    addTo(found.group, item);
  }
  const items: Item[] = [];
  for (const { group, items: packagesOf } of groups.values()) {
    packagesOf.sort((a, b) => b.weight - a.weight);
    group.state = state(compared, group.head, group.base, null);
    group.children = (least) => folded(packagesOf, least, compared);
    group.title = `${group.name}: ${count(packagesOf.length, "package", "packages")}`;
    if (group.weight > 0) items.push(group);
  }
  const sum = (of: (item: Item) => number) => items.reduce((total, one) => total + of(one), 0);
  const head = Math.max((flattened?.head ?? 0) - sum((one) => one.head), 0);
  const base = compared ? Math.max((flattened?.base ?? 0) - sum((one) => one.base), 0) : head;
  const others = { ...empty("Files of no package", () => all), weight: weight(head, base), head, base };
  others.state = state(compared, head, base, null);
  if (others.weight > 0) items.push(others);
  items.sort((a, b) => b.weight - a.weight);
  items.forEach((one) => addTo(all, one));
  all.children = (least) => folded(items, least, compared);
  return all;
}

function packageName(row: Package): string {
  const [name, , from, to] = row;
  if (from !== null && to !== null && from !== to) return `${name} ${from} → ${to}`;
  return `${name} ${to ?? from ?? ""}`.trim();
}

function empty(name: string, parent: () => Item): Item {
  return { name, title: name, kind: "group", weight: 0, head: 0, base: 0, files: 0, state: "plain", children: null, parent };
}
