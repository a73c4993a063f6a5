// Opens pages that the program has written, and prints the text of each. Fails where one asks for something, complains,
// has anything foreign in it, or is not fit for everybody.

import assert from "node:assert/strict";
import { foreign, launch, NOTHING, open, violations } from "./browser.mjs";

const browser = await launch();
try {
  for (const file of process.argv.slice(2)) {
    const { page, heard, context } = await open(browser, file);
    await page.locator("footer", { hasText: "layergate" }).waitFor();
    if (await page.locator("#files-0").count()) await page.locator(".cell").first().waitFor();
    assert.deepEqual(heard, { requests: [`file://${file}`], errors: [] });
    assert.deepEqual(await foreign(page), NOTHING);
    console.log(`== ${await page.title()}\n${await page.locator("body").innerText()}`);
    await context.close();
    const fit = await open(browser, file, { bypassCSP: true, viewport: { width: 390, height: 800 }, colorScheme: "dark" });
    if (await fit.page.locator("#files-0").count()) await fit.page.locator(".cell").first().waitFor();
    assert.deepEqual(await violations(fit.page), []);
    assert.equal(await fit.page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth), 0, "it scrolls sideways");
    await fit.context.close();
  }
} finally {
  await browser.close();
}
