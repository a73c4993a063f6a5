// Pictures of a comment as GitHub shows it: node picture.mjs WIDTH HTML LIGHT.png DARK.png [HTML LIGHT.png DARK.png]...
// Each carries the SHA-256 of its HTML, so that a test can tell what it was made of.

import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { deflateSync } from "node:zlib";
import { launch } from "./browser.mjs";

const find = createRequire(import.meta.url).resolve;
const css = (scheme) => readFileSync(find(`github-markdown-css/github-markdown-${scheme}.css`), "utf8");
// A comment's frame: GitHub's padding and border, which the style sheet for markdown leaves out.
const FRAME = { light: ["#ffffff", "#d1d9e0"], dark: ["#0d1117", "#3d444d"] };
const page = (html, scheme) => {
  const [background, border] = FRAME[scheme];
  const frame = `body { margin: 0; background: ${background} } article { padding: 16px; border: 1px solid ${border}; border-radius: 6px; font-size: 14px !important }`;
  return `<!doctype html><meta charset="utf-8"><style>${css(scheme)} ${frame}</style><article class="markdown-body">${html}</article>`;
};

/** One chunk of a PNG (PNG, "Chunk layout"). */
function chunk(type, data) {
  const body = Buffer.concat([Buffer.from(type, "latin1"), data]);
  const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32BE(data.length);
  sum.writeUInt32BE(crc32(body));
  return Buffer.concat([length, body, sum]);
}

function crc32(bytes) {
  let sum = ~0;
  for (const byte of bytes) {
    sum ^= byte;
    for (let bit = 0; bit < 8; bit++) sum = (sum >>> 1) ^ (sum & 1 ? 0xedb88320 : 0);
  }
  return ~sum >>> 0;
}

/** A PNG of at most 256 colours, a third of what the browser writes. Colours that few pixels have take the nearest one. */
function indexed({ width, height, pixels }, source) {
  const colors = new Map();
  for (let at = 0; at < pixels.length; at += 4) {
    const color = (pixels[at] << 16) | (pixels[at + 1] << 8) | pixels[at + 2];
    colors.set(color, (colors.get(color) ?? 0) + 1);
  }
  const palette = [...colors].sort((a, b) => b[1] - a[1]).slice(0, 256).map(([color]) => color);
  const channels = (color) => [color >> 16, (color >> 8) & 255, color & 255];
  const distance = (one, other) => channels(one).reduce((sum, value, at) => sum + (value - channels(other)[at]) ** 2, 0);
  const nearest = (color) => palette.reduce((best, other, at) => (distance(color, other) < distance(color, palette[best]) ? at : best), 0);
  const index = new Map([...colors.keys()].map((color) => [color, palette.includes(color) ? palette.indexOf(color) : nearest(color)]));
  const rows = Buffer.alloc((width + 1) * height);
  for (let at = 0, to = 0; at < pixels.length; at += 4) {
    if ((at / 4) % width === 0) to++;
    rows[to++] = index.get((pixels[at] << 16) | (pixels[at + 1] << 8) | pixels[at + 2]);
  }
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 3], 8);
  return Buffer.concat([
    Buffer.from("89504e470d0a1a0a", "hex"),
    chunk("IHDR", header),
    chunk("PLTE", Buffer.from(palette.flatMap(channels))),
    chunk("tEXt", Buffer.from(`Source\0${source}`, "latin1")),
    chunk("IDAT", deflateSync(rows, { level: 9 })),
    chunk("IEND", Buffer.alloc(0)),
  ]);
}

/** The pixels of a picture, as a browser decodes it. */
async function decoded(page, png) {
  const { width, height, data } = await page.evaluate(async (base64) => {
    const bitmap = await createImageBitmap(await (await fetch(`data:image/png;base64,${base64}`)).blob());
    const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
    const context = canvas.getContext("2d");
    context.drawImage(bitmap, 0, 0);
    const { data } = context.getImageData(0, 0, bitmap.width, bitmap.height);
    let text = "";
    for (let at = 0; at < data.length; at += 32768) text += String.fromCharCode(...data.subarray(at, at + 32768));
    return { width: bitmap.width, height: bitmap.height, data: btoa(text) };
  }, png.toString("base64"));
  return { width, height, pixels: Buffer.from(data, "base64") };
}

const [width, ...rest] = process.argv.slice(2);
const browser = await launch();
const reader = await browser.newPage();
try {
  for (let at = 0; at < rest.length; at += 3) {
    const html = readFileSync(rest[at], "utf8");
    for (const [index, scheme] of ["light", "dark"].entries()) {
      const context = await browser.newContext({ viewport: { width: Number(width), height: 100 }, deviceScaleFactor: 1.5, colorScheme: scheme, javaScriptEnabled: false });
      const shown = await context.newPage();
      await shown.setContent(page(html, scheme));
      const png = await shown.locator("article").screenshot({ animations: "disabled" });
      const source = createHash("sha256").update(html).digest("hex");
      writeFileSync(rest[at + 1 + index], indexed(await decoded(reader, png), source));
      await context.close();
    }
  }
} finally {
  await browser.close();
}
