// Builds dist/report.html: the page with script, style and a content security policy that allows these two and nothing
// else. The program fills in {{title}}, and for {{data}}
// elements with documents. With --check, fails unless the file is up to date.

import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { build } from "esbuild";

const MOST = 80_000;
const at = (path) => new URL(path, import.meta.url);

async function bundle(entry) {
  const options = { absWorkingDir: at(".").pathname, entryPoints: [entry], bundle: true, minify: true, write: false, target: "es2020", format: "iife", legalComments: "none", charset: "utf8" };
  const { outputFiles } = await build(options);
  return outputFiles[0].text.trim();
}

const [script, style] = await Promise.all([bundle("src/main.ts"), bundle("src/style.css")]);
for (const [text, end] of [[script, "</script"], [style, "</style"]]) {
  if (text.toLowerCase().includes(end) || text.includes("{{")) throw new Error(`the bundle contains ${end} or {{`);
}
const hash = (text) => `'sha256-${createHash("sha256").update(text).digest("base64")}'`;
const policy = [
  "default-src 'none'", `script-src ${hash(script)}`, `style-src ${hash(style)}`, "img-src data:", "base-uri 'none'", "form-action 'none'",
  // No string becomes markup, whoever wrote it.
  "require-trusted-types-for 'script'", "trusted-types 'none'",
].join("; ");
const parts = { policy, style, script };
const html = readFileSync(at("src/shell.html"), "utf8").replace(/\{\{(policy|style|script)\}\}/g, (_, name) => parts[name]);
if (html.length > MOST) throw new Error(`report.html has ${html.length} bytes, more than ${MOST}`);
const out = at("dist/report.html");
if (process.argv.includes("--check")) {
  if (readFileSync(out, "utf8") !== html) throw new Error("web/dist/report.html is not what web/src makes: run npm run build in web/ and commit it");
} else {
  mkdirSync(at("dist/"), { recursive: true });
  writeFileSync(out, html);
  console.log(`dist/report.html: ${html.length} bytes`);
}
