// The document that the program writes into the page (src/report/html/ writes it, this page reads it).
// Every text in it is untrusted: it becomes text nodes, never markup. Sizes are whole bytes.

export type Verdict = "pass" | "warn" | "fail" | "accepted" | "unenforced";

export interface Page {
  /** The version that wrote the page. */
  layergate: string;
  /** Null if nothing was checked. */
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
  /** The headline of this image, without its name. */
  headline: string;
  /** The first figure is the one that the size limits use. */
  figures: Figure[];
  /** The baseline, in words: `baseline main@a1b2c3d, exact`. */
  baseline: string | null;
  /** How the Dockerfile lines are known, in words. */
  lines: string | null;
  /** The source is the configuration, if it is one that another extends. */
  limits: [key: string, value: string, source: string | null][];
  findings: Finding[];
  causes: Cause[];
  moved: Moved[];
  /** The differences in how containers are started. */
  config: Config | null;
  layers: Layer[];
  packages: Packages | null;
  waste: Waste[];
  removable: Removable[];
  trend: Point[];
  /** The maximum size, in bytes of the first figure. */
  maxSize: number | null;
  /** The `id` of the element that has the image's `Files`: they are read after the rest is shown. */
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
  /** The instruction, or its substitute. */
  text: string;
  place: Place | null;
  delta: number;
  /** Packages, directories and files, largest first. */
  parts: [text: string, delta: number][];
}

/** Files that both images store, but by different instructions. */
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
  /** For named parts, the removed names and the new ones. */
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
  /** `2 upgraded, 1 added`; empty if nothing is compared. */
  summary: string;
  /** Whether these are all packages, or just those that differ. */
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
  /** Its class: build tools, build inputs, caches or leftovers. */
  group: string;
  bytes: number;
  files: number;
  layer: LayerName;
  ofBase: boolean;
  where: string[];
  /** Deleted by a later layer, or accepted by the configuration; empty if it counts. */
  note: string;
  help: string;
}

export interface LayerName {
  text: string;
  place: Place | null;
}

export interface Point {
  /** Short commit, or its substitute. */
  label: string;
  /** When the commit was made (RFC 3339), if known. */
  time: string | null;
  size: number;
  /** What a host downloads to move here from the previous point, if known. */
  update: { bytes: number; estimated: boolean } | null;
}

// Columns, so that a file takes about 25 bytes. Names hold no slash, so a slash separates them. Directories are in
// preorder without the root; files follow the order of their directories, those of the root first.
export interface Files {
  dirs: { names: string; depths: number[]; counts: number[] };
  /** Each begins with a base-36 digit: how many code units it shares with the start of the previous name there. */
  names: string;
  /** -1: only the baseline has it. */
  sizes: number[];
  /** Runs: layer counted from 0, number of files. -1: the layer of a file that only the baseline has. */
  layers: number[];
  /** Pairs: how many unchanged files to skip, then the size in the baseline, -1 if not in it. Null without a baseline. */
  changes: number[] | null;
}
