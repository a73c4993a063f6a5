// The file system of an image in typed arrays. 300,000 files are read in one pass; no object is made for a file until
// it is shown.

import type { Files } from "./data";

/** What an area of the map represents: bytes of the image, or changed bytes. */
export type Weigh = "size" | "change";

export const REMOVED = -1;
const ABSENT = -1;

/** The totals of each directory, including everything below. */
export interface Sums {
  weight: Float64Array;
  head: Float64Array;
  base: Float64Array;
  files: Uint32Array;
}

export class Tree {
  readonly dirNames: string[];
  readonly parents: Int32Array;
  /** The first directory after everything below this one. */
  readonly ends: Int32Array;
  /** The index of the first file directly in each directory; one more at the end. */
  readonly firstFile: Int32Array;
  readonly fileNames: string[];
  /** -1 if the image lacks the file. */
  readonly head: Float64Array;
  /** -1 if the baseline lacks the file. Equal to `head` without a baseline. */
  readonly base: Float64Array;
  readonly layers: Int32Array;
  readonly compared: boolean;

  constructor(files: Files) {
    const { dirs } = files;
    this.dirNames = ["", ...(dirs.depths.length ? dirs.names.split("/") : [])];
    const count = this.dirNames.length;
    this.parents = new Int32Array(count);
    this.ends = new Int32Array(count).fill(count);
    const open = [0];
    for (let dir = 1; dir < count; dir++) {
      const depth = dirs.depths[dir - 1];
      while (open.length > depth) this.ends[open.pop()!] = dir;
      this.parents[dir] = open[open.length - 1];
      open.push(dir);
    }
    this.firstFile = new Int32Array(count + 1);
    for (let dir = 0; dir < count; dir++) this.firstFile[dir + 1] = this.firstFile[dir] + dirs.counts[dir];
    this.fileNames = files.sizes.length ? files.names.split("/") : [];
    for (let dir = 0; dir < count; dir++) {
      let name = "";
      for (let file = this.firstFile[dir]; file < this.firstFile[dir + 1]; file++) {
        const coded = this.fileNames[file];
        this.fileNames[file] = name = name.slice(0, parseInt(coded[0], 36)) + coded.slice(1);
      }
    }
    this.head = new Float64Array(files.sizes);
    this.compared = files.changes !== null;
    this.base = this.head.slice();
    let file = 0;
    const changes = files.changes ?? [];
    for (let at = 0; at < changes.length; at += 2) {
      file += changes[at];
      this.base[file++] = changes[at + 1];
    }
    this.layers = new Int32Array(files.sizes.length);
    file = 0;
    for (let at = 0; at < files.layers.length; at += 2) {
      this.layers.fill(files.layers[at], file, (file += files.layers[at + 1]));
    }
  }

  weight(file: number, weigh: Weigh): number {
    const head = Math.max(this.head[file], 0);
    return weigh === "size" ? head : Math.abs(head - Math.max(this.base[file], 0));
  }

  /** The totals of all directories, for one layer's files or for all. */
  sums(weigh: Weigh, layer: number | null): Sums {
    const count = this.dirNames.length;
    const sums = {
      weight: new Float64Array(count),
      head: new Float64Array(count),
      base: new Float64Array(count),
      files: new Uint32Array(count),
    };
    const files = layer === null ? null : this.filesOf(layer);
    let dir = 0;
    for (let at = 0; at < (files ?? this.head).length; at++) {
      const file = files ? files[at] : at;
      while (this.firstFile[dir + 1] <= file) dir++;
      sums.weight[dir] += this.weight(file, weigh);
      sums.head[dir] += Math.max(this.head[file], 0);
      sums.base[dir] += Math.max(this.base[file], 0);
      if (this.head[file] !== ABSENT) sums.files[dir]++;
    }
    for (dir = count - 1; dir > 0; dir--) {
      const parent = this.parents[dir];
      sums.weight[parent] += sums.weight[dir];
      sums.head[parent] += sums.head[dir];
      sums.base[parent] += sums.base[dir];
      sums.files[parent] += sums.files[dir];
    }
    return sums;
  }

  private buckets: { starts: Int32Array; files: Int32Array } | null = null;

  /** The files that a layer stores, in order. */
  filesOf(layer: number): Int32Array {
    if (!this.buckets) {
      const highest = this.layers.reduce((most, one) => Math.max(most, one), REMOVED);
      const starts = new Int32Array(highest + 3);
      for (const one of this.layers) starts[one + 2]++;
      for (let at = 1; at < starts.length; at++) starts[at] += starts[at - 1];
      const files = new Int32Array(this.layers.length);
      const next = starts.slice();
      for (let file = 0; file < files.length; file++) files[next[this.layers[file] + 1]++] = file;
      this.buckets = { starts, files };
    }
    const { starts, files } = this.buckets;
    return files.subarray(starts[layer + 1] ?? 0, starts[layer + 2] ?? 0);
  }

  dirOf(file: number): number {
    let low = 0;
    let high = this.dirNames.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.firstFile[middle] <= file) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  dirPath(dir: number): string {
    const parts: string[] = [];
    for (let at = dir; at > 0; at = this.parents[at]) parts.push(this.dirNames[at]);
    return parts.reverse().join("/");
  }

  filePath(file: number): string {
    const dir = this.dirPath(this.dirOf(file));
    return dir ? `${dir}/${this.fileNames[file]}` : this.fileNames[file];
  }

  /** The files whose path has all these words, largest first, in slices that do not block the page. */
  async search(words: string[], most: number, wanted: () => boolean): Promise<Found | null> {
    const found: Found = { files: [], count: 0, bytes: 0 };
    const prefix: string[] = [""];
    let smallest = -1;
    let until = performance.now() + SLICE;
    for (let dir = 0; dir < this.dirNames.length; dir++) {
      if (dir > 0) {
        const parent = prefix[this.parents[dir]];
        prefix[dir] = `${parent}${this.dirNames[dir].toLowerCase()}/`;
      }
      const missing = words.filter((word) => !prefix[dir].includes(word));
      for (let file = this.firstFile[dir]; file < this.firstFile[dir + 1]; file++) {
        if ((file & 1023) === 0 && performance.now() > until) {
          await pause();
          if (!wanted()) return null;
          until = performance.now() + SLICE;
        }
        if (missing.length > 0) {
          const path = prefix[dir] + this.fileNames[file].toLowerCase();
          if (!missing.every((word) => path.includes(word))) continue;
        }
        const size = Math.max(this.head[file], this.base[file]);
        found.count++;
        found.bytes += Math.max(this.head[file], 0);
        if (found.files.length === most && size <= smallest) continue;
        const at = found.files.findIndex((other) => Math.max(this.head[other], this.base[other]) < size);
        found.files.splice(at < 0 ? found.files.length : at, 0, file);
        found.files.length = Math.min(found.files.length, most);
        const last = found.files[found.files.length - 1];
        smallest = Math.max(this.head[last], this.base[last]);
      }
    }
    return wanted() ? found : null;
  }
}

const SLICE = 12;

/** Lets the browser respond before work continues. */
function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve));
}

/** Reads the files in an element, in short steps. */
export async function readTree(id: string): Promise<Tree> {
  const element = document.getElementById(id);
  await pause();
  const files = JSON.parse(element?.textContent ?? "") as Files;
  await pause();
  const tree = new Tree(files);
  await pause();
  return tree;
}

export interface Found {
  files: number[];
  count: number;
  bytes: number;
}
