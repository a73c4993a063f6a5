// A page in a real browser, and what it asks for and complains of. LAYERGATE_TEST_BROWSER: a Chromium, where it is not
// /usr/bin/chromium.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

export function launch() {
  return chromium.launch({ executablePath: process.env.LAYERGATE_TEST_BROWSER || "/usr/bin/chromium", args: ["--no-sandbox"] });
}

export async function open(browser, file, options = {}) {
  const context = await browser.newContext({ viewport: { width: 900, height: 900 }, ...options });
  const heard = { requests: [], errors: [] };
  context.on("request", (request) => heard.requests.push(request.url()));
  context.on("console", (message) => message.type() === "error" && heard.errors.push(message.text()));
  context.on("weberror", (error) => heard.errors.push(error.error().message));
  const page = await context.newPage();
  await page.goto(`file://${file}`);
  return { page, heard, context };
}

/** What axe finds. The context needs `bypassCSP`: axe itself needs what the page's policy forbids. */
export async function violations(page) {
  await page.evaluate(() => document.querySelectorAll("details").forEach((one) => (one.open = true)));
  await page.evaluate(AXE);
  const { violations, passes } = await page.evaluate(() => window.axe.run());
  if (passes.length < 20) throw new Error("axe has looked at next to nothing");
  return violations.map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map((node) => `${node.html} ${node.failureSummary}`)}`);
}

/** What is in a page that must not be there. */
export function foreign(page) {
  return page.evaluate(() => ({
    ran: window.hacked,
    scripts: [...document.scripts].filter((script) => script.type !== "application/json").length - 1,
    loads: document.querySelectorAll("img, iframe, object, embed, link:not([rel=icon]), style ~ style").length,
    links: [...document.links].map((link) => link.protocol).filter((protocol) => protocol !== "https:"),
  }));
}

export const NOTHING = { ran: undefined, scripts: 0, loads: 0, links: [] };
