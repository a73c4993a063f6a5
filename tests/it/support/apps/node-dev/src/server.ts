import { createServer, type ServerResponse } from "node:http";
import ms = require("ms");

function answer(response: ServerResponse): void {
  response.end(`asks again in ${ms(120_000, { long: true })}\n`);
}

createServer((_, response) => answer(response)).listen(3000);
