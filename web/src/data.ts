// The document that the program writes into the page (src/report/html.rs writes it, this page reads it).
// Every text in it is untrusted: it becomes text nodes, never markup. Sizes are whole bytes.

export type Verdict = "pass" | "warn" | "fail" | "accepted" | "unenforced";

export interface Page {
  /** The version that wrote the page. */
  layergate: string;
  /** Null where nothing was checked. */
  verdict: Verdict | null;
  /** The first line of the page, as in the page's title. */
  headline: string;
  notes: string[];
  images: Image[];
}

export interface Image {
  name: string;
  platform: string | null;
  verdict: Verdict | null;
  /** What is said of this image, without its name. */
  headline: string;
  /** The first figure is the one that the size limits use. */
  figures: Figure[];
  /** What is compared with, in words: `baseline main@a1b2c3d, exact`. */
  baseline: string | null;
  /** How the Dockerfile lines are known, in words. */
  lines: string | null;
  /** The last is the configuration, where it is one that another extends. */
  limits: [key: string, value: string, source: string | null][];
  findings: Finding[];
  causes: Cause[];
  moved: Moved[];
  /** What containers are started with, where it differs. */
  config: Config | null;
  layers: Layer[];
  packages: Packages | null;
  waste: Waste[];
  removable: Removable[];
  trend: Point[];
  /** The maximum size, in bytes of the first figure. */
  maxSize: number | null;
  /** The `id` of the element that has the image's `Files`: they are read once the rest is shown. */
  files: string | null;
  /** Why there are no files. */
  filesMissing: string | null;
}

export interface Figure {
  name: string;
  unit: "bytes" | "count";
  head: number | null;
  base: number | null;
  /** What the figure means, in one sentence. */
  help: string;
}

export interface Place {
  path: string;
  line: number;
  /** The line at the commit that was built. */
  url: string | null;
}

export interface Finding {
  severity: "fail" | "warn" | "accepted" | "unenforced";
  rule: string;
  message: string;
  help: string;
  place: Place | null;
}

export interface Cause {
  /** The instruction, or what stands for it. */
  text: string;
  place: Place | null;
  delta: number;
  /** Packages, directories and files, largest first. */
  parts: [text: string, delta: number][];
}

/** Files that both images store, by another instruction each. */
export interface Moved {
  bytes: number;
  /** A few of the packages among them. */
  packages: string[];
  from: LayerName;
  to: LayerName;
}

export interface Config {
  /** `USER root → app, 2 ENV, ENTRYPOINT`. */
  summary: string;
  /** Of what has names, those that are gone and those that are new. */
  rows: [part: string, base: string, head: string][];
}

export interface Layer {
  /** Counted from 1 in the image; null for one that only the baseline has. */
  number: number | null;
  status: "unchanged" | "repacked" | "rebuilt" | "changed" | "added" | "removed" | "moved" | null;
  text: string;
  place: Place | null;
  head: number | null;
  base: number | null;
  delta: number | null;
  compressed: number | null;
  /** Bytes that later layers hide. */
  wasted: number | null;
  ofBase: boolean | null;
  diffId: string;
}

export interface Packages {
  /** `2 upgraded, 1 added`; empty where nothing is compared. */
  summary: string;
  /** Whether these are all packages, or those that differ. */
  complete: boolean;
  rows: Package[];
}

export type Package = [
  name: string,
  type: string,
  from: string | null,
  to: string | null,
  base: number | null,
  head: number | null,
  delta: number | null,
  /** Counted from 1. */
  layer: number | null,
];

export interface Waste {
  path: string;
  files: number;
  bytes: number;
  storedBy: LayerName;
  hiddenBy: LayerName;
  help: string;
}

export interface Removable {
  what: string;
  /** Of which sort it is: build tools, build inputs, caches, leftovers. */
  group: string;
  bytes: number;
  files: number;
  layer: LayerName;
  ofBase: boolean;
  where: string[];
  /** Deleted by a later layer, or accepted by the configuration; empty where it counts. */
  note: string;
  help: string;
}

export interface LayerName {
  text: string;
  place: Place | null;
}

export interface Point {
  /** Short commit, or what stands for it. */
  label: string;
  /** Seconds since 1970, where known. */
  time: string | null;
  size: number;
  /** What a host downloads that moves here from the point before, where it is known. */
  update: { bytes: number; estimated: boolean } | null;
}

// Columns, so that a file takes about 25 bytes. Names hold no slash, so a slash separates them. Directories are in
// preorder without the root; files follow the order of their directories, those of the root first.
export interface Files {
  dirs: { names: string; depths: number[]; counts: number[] };
  /** Each begins with a digit of base 36: how many code units of the name before it in its directory it begins with. */
  names: string;
  /** -1: only the baseline has it. */
  sizes: number[];
  /** Runs: layer counted from 0, number of files. -1: the layer of a file that only the baseline has. */
  layers: number[];
  /** Pairs: how many unchanged files to skip, then the size in the baseline, -1 where it has none. Null without one. */
  changes: number[] | null;
}
