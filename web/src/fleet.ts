// The page of many repositories. It reads the document of `layergate fleet --format json` itself
// (schema/fleet.json describes it).

import { amount, change, few, h, type Child } from "./dom";
import { figures, section } from "./sections";
import { count, grouped } from "./units";
import type { Figure } from "./data";

interface Limit { key: string; value: string; source?: string }

interface Image {
  image: string;
  platform: string;
  recorded: string | null;
  totals: { uncompressed: number | null; flattened: number | null; wasted: number | null; compressed: number | null };
  update: { bytes: number; classic_bytes: number; estimated: boolean } | null;
  change: { bytes: number; since: string; shorter: boolean } | null;
  removable: { build_tools: number; build_inputs: number; caches: number; leftovers: number } | null;
  stages: "multi_stage" | "single_stage" | "not_needed" | "unknown";
  stages_since: string | null;
  saving: number | null;
  limits: Limit[];
}

interface Repository {
  name: string;
  url: string | null;
  state: "recorded" | "no_baseline" | "not_expected" | "unread";
  archived: boolean;
  renamed_from: string | null;
  dockerfiles: string[];
  images: Image[];
}

export interface Fleet {
  layergate: string;
  generated: string;
  branch: string;
  totals: Record<string, number>;
  met: { condition: string; repository: string; image: string | null; message: string }[];
  repositories: Repository[];
  unread: { name: string; reason: string; message: string }[];
}

interface Row { of: Repository; image: Image; name: string; removable: number | null; saving: number | null }

const STAGES: Record<Image["stages"], string> = { multi_stage: "multi-stage", single_stage: "single-stage", not_needed: "not needed", unknown: "unknown" };

const day = (time: string | null) => time?.slice(0, 10) ?? "unknown";

export function fleetPage(fleet: Fleet): Child[] {
  const rows = fleet.repositories.flatMap((of) => of.images.map((image) => rowOf(of, image)));
  const adopt = rows.filter((row) => row.image.stages === "single_stage" && !row.of.archived).sort((a, b) => (b.saving ?? -1) - (a.saving ?? -1));
  return [met(fleet), figures(totals(fleet)), adoption(adopt), images(rows), missing(fleet), unread(fleet), renamed(fleet)];
}

function rowOf(of: Repository, image: Image): Row {
  const alone = of.images.every((other) => other.image === image.image) && of.name.split("/").pop() === image.image;
  const platforms = of.images.filter((other) => other.image === image.image).length > 1;
  const name = [of.name, !alone && image.image, platforms && image.platform].filter(Boolean).join(" ");
  const classes = image.removable;
  const removable = classes && classes.build_tools + classes.build_inputs + classes.caches + classes.leftovers;
  return { of, image, name, removable, saving: image.stages === "single_stage" ? image.saving : null };
}

function totals({ totals: all }: Fleet): Figure[] {
  const figure = (name: string, unit: Figure["unit"], head: number, help: string, base: number | null = null): Figure => ({ name, unit, head, base, help });
  return [
    figure("Size, and 30 days", "bytes", all.uncompressed, "Uncompressed size of all images; those of archived repositories are left out.", all.uncompressed - all.change),
    figure("Images", "count", all.images, "Images, whatever platforms they have."),
    figure("Repositories", "count", all.recorded, "Repositories with baselines."),
    figure("Single-stage", "count", all.single_stage, "Images that ship build tools or build inputs."),
    figure("Multi-stage", "count", all.multi_stage, "Images that are built in stages."),
    figure("Builder stages save", "bytes", all.saving, "Build tools, build inputs and caches in the layers of single-stage images."),
    figure("Removable", "bytes", all.removable, "Files that images ship and do not need to run, those of base images included."),
    figure("Wasted", "bytes", all.wasted, "Uncompressed minus flattened: stored and hidden by a later layer."),
    figure("Without limits", "count", all.no_limits, "Images for which layergate.toml sets no limits."),
  ];
}

function met({ met: all }: Fleet): Child {
  if (all.length === 0) return null;
  const list = h("ul", { class: "findings" });
  const items = all.map((one) => h("li", {}, h("span", { class: "badge fail" }, one.condition), " ", h("strong", {}, one.repository), one.image && ` ${one.image}`, `: ${one.message}`));
  return section("What --fail-on found", "met", ...few(items, 8, list, `Show all ${grouped(all.length)}`));
}

function adoption(rows: Row[]): Child {
  if (rows.length === 0) return null;
  const widest = Math.max(...rows.map((row) => row.saving ?? 0), 1);
  const items = rows.map((row) => {
    const bar = h("span", { class: "bar b-changed", "aria-hidden": "true" });
    bar.style.width = `${((row.saving ?? 0) / widest) * 100}%`;
    return h("li", {}, h("div", { class: "saves" },
      h("span", { class: "what" }, named(row), h("span", { class: "track" }, bar)),
      h("span", { class: "sizes" }, amount(row.saving), h("span", { class: "status" }, "of ", amount(row.image.totals.uncompressed)))));
  });
  const list = h("ol", { class: "ladder" });
  return section("Multi-stage builds would save", "adopt", h("p", { class: "lead" }, "Images that ship build tools or build inputs. A builder stage would leave behind these files, and caches."),
    ...few(items, 8, list, `Show all ${grouped(rows.length)}`));
}

function named(row: Row): HTMLElement {
  const link = row.of.url?.startsWith("https://") ? h("a", { href: row.of.url, rel: "noopener noreferrer" }, row.name) : h("span", {}, row.name);
  return h("span", { class: "place" }, link, row.of.archived && h("span", { class: "version" }, " archived"));
}

const limitText = ({ key, value, source }: Limit) => `${key} = ${value} ${source ?? ""}`;

interface ColumnOf { name: string; text: boolean; value: (row: Row) => number | string | null; cell: (row: Row) => Child[] }

const known = (value: number | null): Child[] => (value === null ? [] : [amount(value)]);

const COLUMNS: ColumnOf[] = [
  { name: "Image", text: true, value: (row) => row.name, cell: (row) => [named(row)] },
  { name: "Size", text: false, value: (row) => row.image.totals.uncompressed, cell: (row) => [amount(row.image.totals.uncompressed)] },
  { name: "30 days", text: false, value: (row) => row.image.change?.bytes ?? null, cell: ({ image }) => [
    image.change && (image.change.bytes === 0 ? "0" : change(image.change.bytes)), image.change?.shorter && h("span", { class: "version since" }, `since ${day(image.change.since)}`)] },
  { name: "Update", text: false, value: (row) => row.image.update?.bytes ?? null, cell: ({ image: { update } }) => [update?.estimated && "≤ ", ...known(update && update.bytes)] },
  { name: "Wasted", text: false, value: (row) => row.image.totals.wasted, cell: (row) => known(row.image.totals.wasted) },
  { name: "Removable", text: false, value: (row) => row.removable, cell: (row) => known(row.removable) },
  { name: "Saves", text: false, value: (row) => row.saving, cell: (row) => known(row.saving) },
  { name: "Stages", text: true, value: (row) => STAGES[row.image.stages], cell: ({ image }) => [
    h("span", { class: image.stages === "single_stage" ? "up" : null }, STAGES[image.stages]), image.stages_since && h("span", { class: "version since" }, `since ${day(image.stages_since)}`)] },
  { name: "Limits", text: true, value: (row) => row.image.limits.length, cell: ({ image }) => image.limits.length === 0 ? [h("span", { class: "unknown" }, "none")]
    : image.limits.map((limit) => h("span", { class: "limit" }, h("code", {}, `${limit.key} = ${limit.value}`), limit.source ? ` ${limit.source}` : "")) },
  { name: "Recorded", text: true, value: (row) => row.image.recorded, cell: (row) => [h("span", { class: "nowrap" }, day(row.image.recorded))] },
];

const SHOWN = 50;

/** A table that can be searched, and sorted by its headings. */
function images(rows: Row[]): Child {
  if (rows.length === 0) return null;
  let [by, down] = [1, true];
  const body = h("tbody");
  const more = h("div");
  const status = h("p", { class: "small", role: "status" });
  const find = h("input", { id: "find", type: "search", autocomplete: "off", input: () => show() });
  const heads = COLUMNS.map((column, index) => {
    const sort = h("button", { type: "button", class: "link", click: () => {
      down = by === index ? !down : !column.text;
      by = index;
      show();
    } }, column.name);
    return h("th", { scope: "col", class: column.text ? null : "number" }, sort);
  });
  const show = () => {
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    const text = (row: Row) => [row.name, STAGES[row.image.stages], ...row.image.limits.map(limitText)].join(" ").toLowerCase();
    const fitting = rows.filter((row) => words.every((word) => text(row).includes(word)));
    fitting.sort((a, b) => compare(COLUMNS[by].value(a), COLUMNS[by].value(b), down) || compare(a.name, b.name, false));
    heads.forEach((head, index) => head.setAttribute("aria-sort", index !== by ? "none" : down ? "descending" : "ascending"));
    const made = fitting.map((row) => h("tr", {}, ...COLUMNS.map((column, index) => index === 0
      ? h("th", { scope: "row" }, ...column.cell(row)) : h("td", { class: column.text ? null : "number", "data-label": column.name }, ...column.cell(row)))));
    body.replaceChildren();
    const [, button] = few(made, SHOWN, body, `Show all ${grouped(made.length)}`);
    more.replaceChildren(...(button ? [button as Node] : []));
    status.textContent = words.length === 0 ? "" : count(fitting.length, "image fits", "images fit");
  };
  show();
  const table = h("table", { class: "fleet" }, h("caption", { class: "visually-hidden" }, "Images; a heading sorts by its column"), h("thead", {}, h("tr", {}, ...heads)), body);
  return section("Images", "images", h("div", { class: "controls" }, h("div", { class: "finder" }, h("label", { for: "find" }, "Find"), find), status), h("div", { class: "scroll" }, table), more);
}

/** Unknown values come last in either direction. */
function compare(a: number | string | null, b: number | string | null, down: boolean): number {
  if (a === null || b === null) return Number(a === null) - Number(b === null);
  const order = a < b ? -1 : a > b ? 1 : 0;
  return down ? -order : order;
}

function missing(fleet: Fleet): Child {
  const without = fleet.repositories.filter((of) => of.state === "no_baseline");
  if (without.length === 0) return null;
  const items = without.map((of) => h("li", {}, h("span", { class: "place" }, of.url?.startsWith("https://") ? h("a", { href: of.url, rel: "noopener noreferrer" }, of.name) : of.name),
    " ", ...of.dockerfiles.flatMap((file, index): Child[] => [index > 0 && ", ", h("code", {}, file)])));
  const list = h("ul", { class: "causes" });
  return section("Dockerfile and no baselines", "missing", h("p", { class: "lead" }, "Looked at: the root and docker/ of the default branch. Run layergate init in such a repository."),
    ...few(items, 12, list, `Show all ${grouped(items.length)}`));
}

function unread(fleet: Fleet): Child {
  if (fleet.unread.length === 0) return null;
  const items = fleet.unread.map((one) => h("li", {}, h("strong", {}, one.name), `: ${one.message}`));
  const list = h("ul", { class: "causes" });
  return section("Not read", "unread", ...few(items, 12, list, `Show all ${grouped(items.length)}`));
}

function renamed(fleet: Fleet): Child {
  const all = fleet.repositories.filter((of) => of.renamed_from !== null);
  return all.length > 0 && h("p", { class: "note" }, `Renamed: ${all.map((of) => `${of.renamed_from} is called ${of.name} now`).join("; ")}`);
}
