// Documents for the tests of the page, and the page that holds one. The program escapes a document in the same way
// (src/report/html.rs).

import { readFileSync } from "node:fs";

export function pageOf(document) {
  const shell = readFileSync(new URL("../dist/report.html", import.meta.url), "utf8");
  const element = (id, data) => {
    const json = JSON.stringify(data).replace(/[<>&]/g, (char) => `\\u00${char.charCodeAt(0).toString(16)}`);
    return `<script type="application/json" id="${id}">${json}</script>`;
  };
  if (document.repositories) return filled(shell, document.headline, element("fleet", document));
  const images = document.images.map((image, index) => ({ ...image, files: image.files && `files-${index}` }));
  const files = document.images.map((image, index) => image.files && element(`files-${index}`, image.files));
  const data = [element("data", { ...document, images }), ...files.filter(Boolean)].join("\n");
  return filled(shell, document.headline, data);
}

function filled(shell, headline, data) {
  const title = headline.replace(/[<>&"']/g, (char) => `&#${char.charCodeAt(0)};`);
  return shell.replace(/\{\{(title|data)\}\}/g, (_, name) => (name === "title" ? title : data));
}

/** Columns from `[path, head size or -1, base size or -1, layer]`. */
export function columns(files, compared) {
  const tree = { dirs: new Map(), files: [] };
  for (const [path, head, base, layer] of files) {
    const parts = path.split("/");
    const name = parts.pop();
    let at = tree;
    for (const part of parts) {
      if (!at.dirs.has(part)) at.dirs.set(part, { dirs: new Map(), files: [] });
      at = at.dirs.get(part);
    }
    at.files.push([name, head, base, layer]);
  }
  const out = { dirs: { names: [], depths: [], counts: [] }, names: [], sizes: [], layers: [], changes: compared ? [] : null };
  let same = 0;
  const walk = (dir, depth) => {
    out.dirs.counts.push(dir.files.length);
    let before = "";
    for (const [name, head, base, layer] of dir.files) {
      let shared = 0;
      while (shared < 35 && name[shared] && name[shared] === before[shared] && !/[\ud800-\udfff]/.test(name[shared])) shared++;
      out.names.push(shared.toString(36) + name.slice(shared));
      before = name;
      out.sizes.push(head);
      if (out.layers.at(-2) === layer) out.layers[out.layers.length - 1]++;
      else out.layers.push(layer, 1);
      if (compared && head !== base) {
        out.changes.push(same, base);
        same = 0;
      } else same++;
    }
    for (const [name, inner] of dir.dirs) {
      out.dirs.names.push(name);
      out.dirs.depths.push(depth);
      walk(inner, depth + 1);
    }
  };
  walk(tree, 1);
  out.names = out.names.join("/");
  out.dirs.names = out.dirs.names.join("/");
  return out;
}

/** The same numbers each time. */
function random(seed) {
  return () => ((seed = (seed * 1103515245 + 12345) & 0x7fffffff) / 0x7fffffff);
}

const WORDS = "lib python site packages share locale include node modules test data core utils parser http json crypto static assets doc man image codec format cache index main config schema types".split(" ");

/** A file system of so many files, most of them small, in directories like those of a real image. */
export function madeUp(count) {
  const next = random(7);
  const files = [];
  const word = () => WORDS[Math.floor(next() * WORDS.length)];
  const tops = ["usr/lib", "usr/share", "usr/local/lib/python3.12/site-packages", "opt/app", "var/lib", "etc"];
  let dir = tops[0];
  for (let index = 0; index < count; index++) {
    if (index % 12 === 0) {
      const top = tops[Math.min(Math.floor(next() ** 2 * tops.length), tops.length - 1)];
      dir = [top, ...Array.from({ length: 1 + Math.floor(next() * 4) }, () => word() + Math.floor(next() * 9))].join("/");
    }
    const size = Math.floor(Math.exp(next() * 13));
    const fate = next();
    const layer = dir.startsWith("opt") ? 5 : dir.startsWith("usr/local") ? 4 : Math.floor(next() * 4);
    const head = fate > 0.99 ? -1 : size;
    files.push([`${dir}/${word()}-${index}.${["so", "py", "js", "json", "txt"][index % 5]}`, head, fate < 0.02 ? -1 : fate < 0.03 ? size + 900 : fate > 0.97 && fate < 0.98 ? Math.floor(size / 2) : size, head < 0 ? -1 : layer]);
  }
  return files;
}

const place = (line) => ({ path: "Dockerfile", line, url: `https://github.com/acme/api/blob/a1b2c3d/Dockerfile#L${line}` });

export function layer(number, text, head, base, more = {}) {
  const status = base === undefined ? null : base === null ? "added" : head === null ? "removed" : head === base ? "unchanged" : "rebuilt";
  return {
    number, status, text, place: null, head, base: base ?? null, delta: base === undefined ? null : (head ?? 0) - (base ?? 0), compressed: head && Math.floor(head / 3),
    wasted: null, ofBase: false, diffId: `sha256:${"0123456789abcdef".repeat(4)}`, ...more,
  };
}

/** A check that fails: files that are made up, everything else as a real one has it. */
export function failing(count = 4000) {
  const files = madeUp(count).concat([["usr/local/lib/python3.12/site-packages/torch/lib/libtorch_cpu.so", 38_800_000, -1, 4], ["opt/app/Pipfile.lock", 21_400, 18_000, 5], ["root/.cache/pip/http/5/1/wheel", 21_400_000, -1, 5]]);
  const sum = (of) => files.reduce((total, file) => total + Math.max(of(file), 0), 0);
  const [head, base] = [sum((file) => file[1]), sum((file) => file[2])];
  return {
    layergate: "0.1.0", verdict: "fail", headline: "api exceeds max-increase: 1.39 GB (+60.3 MB, +4.5%)", notes: [],
    images: [{
      name: "api", platform: "linux/amd64", verdict: "fail", headline: "exceeds max-increase",
      figures: [
        { name: "Uncompressed", unit: "bytes", head: 1_390_000_000, base: 1_329_700_000, help: "Sum of all layers." },
        { name: "Flattened", unit: "bytes", head, base, help: "What a container of the image sees." },
        { name: "Compressed", unit: "bytes", head: 512_000_000, base: 490_000_000, help: "What a full pull downloads." },
        { name: "Update", unit: "bytes", head: 84_200_000, base: null, help: "What a host that runs the baseline downloads." },
        { name: "Wasted", unit: "bytes", head: 38_893_000, base: 8_893_000, help: "Uncompressed minus flattened." },
        { name: "Layers", unit: "count", head: 9, base: 8, help: "" },
        { name: "Files", unit: "count", head: files.filter((file) => file[1] >= 0).length, base: files.filter((file) => file[2] >= 0).length, help: "" },
      ],
      baseline: "Baseline main@a1b2c3d, base commit (exact)",
      lines: "line numbers from build provenance",
      limits: [["max-increase", "1%", null], ["max-size", "1.5 GB", "acme/.github//layergate.toml@main"]],
      findings: [{ severity: "fail", rule: "max-increase", message: "grew by 60.3 MB (4.5%), 47.0 MB more than 1% allows", help: "Install in a builder stage and COPY --from=builder /pybase /pybase", place: place(5) }],
      causes: [
        { text: "RUN pip install pipenv", place: place(5), delta: 38_800_000, parts: [["torch 2.3.0", 38_100_000], ["pipenv 2024.1.0", 700_000]] },
        { text: "RUN pipenv lock", place: place(8), delta: 21_400_000, parts: [["/root/.cache/pip/ 812 files", 21_400_000]] },
        { text: "COPY . /app", place: place(9), delta: 100_000, parts: [] },
      ],
      moved: [{ bytes: 4_000_000, packages: ["requests", "urllib3"], from: { text: "RUN pip install", place: place(3) }, to: { text: "COPY --from=builder /x /x", place: place(7) } }],
      config: { summary: "USER root → app, 2 ENV, ENTRYPOINT", rows: [["USER", "root", "app"], ["ENV", "PIPENV_VENV", "PYTHONUSERBASE"], ["ENTRYPOINT", "", "[\"/app/start\"]"]] },
      layers: [
        layer(1, "ADD rootfs.tar.xz /", 74_800_000, 74_800_000, { ofBase: true }), layer(2, "RUN apt-get update && apt-get install -y ca-certificates", 9_200_000, 9_200_000, { ofBase: true }),
        layer(3, "RUN set -ex; wget https://www.python.org/ftp/python/3.12/Python-3.12.tar.xz; make -j; make install; rm -rf /usr/src/python", 54_000_000, 54_000_000, { ofBase: true }), layer(4, "RUN ln -s python3 python", 0, 0, { ofBase: true }),
        layer(5, "RUN pip install pipenv", 138_800_000, 100_000_000, { place: place(5) }), layer(6, "RUN pipenv lock", 21_400_000, null, { place: place(8), wasted: 3_000_000 }),
        layer(7, "COPY . /app", 1_200_000, 1_100_000, { place: place(9) }), layer(null, "RUN npm ci", null, 2_000_000),
      ],
      packages: { summary: "1 upgraded, 2 added", complete: true, rows: [["torch", "pypi", null, "2.3.0", null, 38_100_000, 38_100_000, 5], ["pipenv", "pypi", "2023.1", "2024.1.0", 1_000_000, 1_700_000, 700_000, 5], ["libc6", "deb", "2.36-9", "2.36-9", 13_000_000, 13_000_000, 0, 1], ["perl-base", "deb", "5.36", "5.36", 7_700_000, 7_700_000, 0, 1]] },
      waste: [{ path: "var/lib/apt/lists/", files: 12, bytes: 30_000_000, storedBy: { text: "RUN apt-get update", place: place(3) }, hiddenBy: { text: "RUN rm -rf /var/lib/apt/lists/*", place: place(4) }, help: "Join the two instructions: what an instruction deletes of its own is not stored" }],
      removable: [
        { what: "pip's cache", group: "caches", bytes: 21_400_000, files: 812, layer: { text: "RUN pipenv lock", place: place(8) }, ofBase: false, where: ["/root/.cache/pip/"], note: "", help: "Add --no-cache-dir" },
        { what: "C compiler", group: "build tools", bytes: 121_400_000, files: 312, layer: { text: "RUN apt-get install", place: null }, ofBase: true, where: ["gcc-12", "cpp-12"], note: "", help: "Use python:3-slim" },
      ],
      trend: [1_310, 1_312, 1_315, 1_315, 1_329, 1_330, 1_329.7, 1_390].map((size, index, all) => ({ label: index === all.length - 1 ? "this change" : `a1b2c${index}d`, time: index === all.length - 1 ? null : new Date((1_790_000_000 + index * 86_400) * 1000).toISOString(), size: size * 1e6, update: null })),
      maxSize: 1_400_000_000, files: columns(files, true), filesMissing: null,
    }],
  };
}

export function passing() {
  const page = failing(3000);
  const [image] = page.images;
  Object.assign(page, { verdict: "pass", headline: "api is within its limits: 1.39 GB (unchanged)" });
  const files = madeUp(3000).map(([path, head, , layer]) => [path, Math.max(head, 10), Math.max(head, 10), Math.max(layer, 0)]);
  const same = image.layers.filter((one) => one.number !== null).map((one) => layer(one.number, one.text, one.head, one.head, { place: one.place, ofBase: one.ofBase }));
  Object.assign(image, { verdict: "pass", headline: "is within its limits", findings: [], causes: [], moved: [], config: null, waste: [], removable: [], layers: same, files: columns(files, true), packages: { summary: "", complete: true, rows: image.packages.rows.map((one) => [one[0], one[1], one[3], one[3], one[5], one[5], 0, one[7]]) } });
  image.figures.forEach((figure) => (figure.base = figure.head));
  return page;
}

/** `inspect`: no baseline. */
export function inspected() {
  const page = failing(3000);
  const [image] = page.images;
  Object.assign(page, { verdict: null, headline: "api: 1.39 GB in 7 layers" });
  const layers = image.layers.filter((one) => one.number !== null).map((one) => layer(one.number, one.text, one.head, undefined, { place: one.place, ofBase: one.ofBase, wasted: one.wasted }));
  const files = madeUp(3000).map(([path, head, , layer]) => [path, Math.max(head, 10), Math.max(head, 10), Math.max(layer, 0)]);
  Object.assign(image, { verdict: null, headline: "", baseline: null, lines: null, limits: [], findings: [], causes: [], moved: [], config: null, layers, trend: [], files: columns(files, false), packages: { summary: "", complete: true, rows: image.packages.rows.map((one) => [one[0], one[1], null, one[3], null, one[5], null, one[7]]) } });
  image.figures.forEach((figure) => (figure.base = null));
  return page;
}

/** A check of several images. */
export function several() {
  const [one, other] = [failing(800), passing()];
  const gone = { ...passing().images[0], name: "old", headline: "no longer has an image", files: null, filesMissing: null, packages: null, layers: [], trend: [] };
  gone.figures = gone.figures.map((figure) => ({ ...figure, head: null }));
  return { ...one, headline: "1 of 2 images fail, 1 removed", notes: ["web has no report"], images: [one.images[0], { ...other.images[0], name: "web" }, gone] };
}

/** What `history` shows. */
export function history() {
  const page = failing(10);
  const bare = (name) => ({ ...page.images[0], name, verdict: null, headline: "", baseline: null, lines: null, limits: [], findings: [], causes: [], moved: [], config: null, layers: [], packages: null, waste: [], removable: [], files: null, filesMissing: null });
  return { ...page, verdict: null, headline: "Sizes of 2 images", images: [bare("api"), bare("web")] };
}

export const HOSTILE = `</script><script>window.hacked=1</script><img src=x onerror="window.hacked=1"><!--<script>\u2028 ]]> javascript:window.hacked=1 \u202Egpj.exe \0 \\ "'\`&amp;`;

/** Every text of a document becomes hostile. */
export function hostile() {
  const page = failing(50);
  const bad = (value, key) => {
    if (typeof value === "string" && !["severity", "verdict", "status", "unit", "name_", "layergate"].includes(key)) return key === "url" ? "javascript:window.hacked=1" : HOSTILE;
    if (Array.isArray(value)) return value.map((one) => bad(one));
    if (value && typeof value === "object") return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, name === "files" && one?.dirs ? one : bad(one, name)]));
    return value;
  };
  const out = bad(page);
  const name = HOSTILE.replaceAll("/", "∕");
  out.images[0].files = columns([[`${name}/${name}`, 5000, -1, 0], [`${name}/${name}2/x`, 7000, 7000, 1], [`a/${name}`, 9000, 100, 2]], true);
  out.images[0].figures[1].name = "Flattened";
  return out;
}

/** Many repositories, as `layergate fleet --format json` writes them. */
export function fleet(count = 120, text = "") {
  const stages = ["multi_stage", "single_stage", "not_needed", "unknown"];
  const images = (index) => ["api", "worker"].slice(0, 1 + (index % 3 === 0)).map((name, at) => {
    const size = Math.round(40e6 + ((index * 7919 + at * 104_729) % 900) * 1.9e6);
    const stage = stages[(index + at) % 7 === 0 ? 3 : (index + at) % 3 === 0 ? 1 : (index + at) % 4 === 0 ? 2 : 0];
    return {
      image: index % 5 || at ? name : `team-${index}`, platform: "linux/amd64", commit: "a".repeat(40), recorded: "2026-11-28T09:12:00Z",
      totals: { layers: 9, files: 4000, uncompressed: index === 7 ? null : size, flattened: size, wasted: index % 6 ? 12_000 : size / 20, compressed: size / 3 },
      update: index % 2 ? { bytes: Math.round(size / 9), classic_bytes: Math.round(size / 5), estimated: index % 3 === 0 } : null,
      change: index % 8 === 0 ? null : { bytes: ((index * 31) % 200) * 1e5 - 9e6, from: size, since: "2026-11-12T09:12:00Z", shorter: index % 9 === 1 },
      removable: index % 11 === 10 ? null : { build_tools: size / 10, build_inputs: size / 50, caches: 0, leftovers: 3e6 },
      stages: stage, stages_since: stage === "unknown" ? null : "2026-03-04T10:00:00Z", saving: stage === "single_stage" ? Math.round(size / 4) : stage === "unknown" ? null : 0,
      limits: index % 4 === 0 ? [] : [{ key: "max-size", value: "500 MB" }, { key: "max-increase", value: "5% and 1 MiB", source: "acme/.github//layergate.toml@main" }].slice(0, 1 + (index % 3 === 1)),
    };
  });
  const names = Array.from({ length: count }, (_, index) => `acme/${["checkout", "search", "billing", "identity", "media"][index % 5]}-service-${index}${text}`);
  const repositories = names.map((name, index) => {
    const state = index % 10 === 9 ? "no_baseline" : "recorded";
    return { name, url: `https://github.com/acme/${index}`, state, archived: index === 12, renamed_from: index === 3 ? `acme/old${text}` : null,
      dockerfiles: state === "no_baseline" ? ["Dockerfile", "docker/worker.Dockerfile"] : ["Dockerfile"], images: state === "recorded" ? images(index) : [] };
  });
  const totals = { repositories: count, recorded: 108, no_baseline: 12, unread: 2, images: 146, multi_stage: 76, single_stage: 41, not_needed: 17, unknown: 12, no_limits: 31, uncompressed: 184e9, unknown_sizes: 1, change: 1.2e9, wasted: 2.1e9, removable: 31e9, saving: 12.3e9 };
  const unread = [
    { name: `acme/vault${text}`, reason: "not_visible", message: "Could not resolve to a Repository with the name 'acme/vault'. It does not exist, or the token cannot read it (contents: read)." },
    { name: "acme/next", reason: "newer", message: "summary.json: `layergate.summary/v2` was written by a newer layergate, and this one reads up to layergate.summary/v1; upgrade layergate" },
  ];
  const met = [{ condition: "single-stage", repository: names[3], image: "api", message: "ships build tools or build inputs; a builder stage saves 312 MB" }];
  const headline = "146 images in 108 repositories, 184\u00a0GB; 41 are single-stage, and builder stages would save 12.3\u00a0GB; 12 repositories with a Dockerfile and no baselines; 2 not read";
  return { schema: "layergate.fleet/v1", layergate: "0.1.0", generated: "2026-11-29T05:00:12Z", branch: "layergate-baselines", totals, met: text ? met : [], repositories, unread, headline };
}
