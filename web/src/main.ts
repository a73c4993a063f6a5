import type { Page } from "./data";
import { fleetPage, type Fleet } from "./fleet";
import { h, present, prose, showExact, type Child } from "./dom";
import { mapOf } from "./map";
import { answer, badge, config, figures, images, ladder, packages, removable, section, trend, trendOf, waste } from "./sections";

const read = (id: string) => JSON.parse(document.getElementById(id)?.textContent ?? "null") as unknown;
const fleet = read("fleet") as Fleet | null;
const none: Page = { layergate: fleet?.layergate ?? "", verdict: fleet?.met.length ? "fail" : null, headline: "", notes: [], images: [] };
const page = (read("data") as Page | null) ?? none;
const main = document.querySelector("main")!;
const shown = h("div");

function show(index: number): void {
  const image = page.images[index];
  const chooser = page.images.length > 1 ? images(page.images, index, show) : null;
  const title = chooser && h("h2", { class: "image-name", tabindex: "-1" }, badge(image.verdict), " ", image.name, image.platform && ` ${image.platform}`);
  const parts: Child[] = [
    chooser, title, chooser && image.headline && h("p", { class: "lead" }, ...prose(image.headline)), answer(image),
    image.files || image.packages?.complete ? mapOf(image) : null,
    image.filesMissing && section("Files", "files", h("p", { class: "lead" }, image.filesMissing)),
    ladder(image), config(image), packages(image), waste(image), removable(image), trend(image),
  ];
  shown.replaceChildren(...present(parts));
  if (started) title?.focus();
}

/** The page of recorded sizes: figures and trends only, so all images are on one page. */
function showTrends(): void {
  const sections = page.images.map((image, index) => h("section", { "aria-labelledby": `image-${index}` },
    h("h2", { id: `image-${index}` }, image.name, image.platform && ` ${image.platform}`), ...present([figures(image.figures), trendOf(image, `trend-${index}`)])));
  shown.replaceChildren(...sections);
}

let started = false;
const exact = h("input", { type: "checkbox", id: "exact", change: () => showExact(exact.checked) });
document.querySelector("header")!.prepend(badge(page.verdict) ?? "");
document.querySelector("header")!.append(h("label", { class: "exact", for: "exact" }, exact, " Exact bytes"));
main.append(...page.notes.map((note) => h("p", { class: "note" }, ...prose(note))), shown);
const isOfTrends = page.images.every((image) => image.layers.length === 0 && image.files === null && image.findings.length === 0 && image.trend.length > 0);
if (fleet) shown.replaceChildren(...present(fleetPage(fleet)));
else if (isOfTrends) showTrends();
else show(0);
started = true;
document.querySelector("footer")!.append(`layergate ${page.layergate}`, fleet ? ` · baselines on ${fleet.branch}, read ${fleet.generated.replace("T", " ").slice(0, 16)} UTC` : "");
