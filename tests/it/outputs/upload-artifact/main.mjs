// Uploads one file as actions/upload-artifact does, by the library that it does it with.
import fs from "node:fs";
import http from "node:http";
import path from "node:path";
import { pathToFileURL } from "node:url";

const installed = (name) =>
  import(pathToFileURL(path.join(process.env.LAYERGATE_TEST_ARTIFACT, "node_modules/@actions", name)));
const core = await installed("core/lib/core.js");
const { default: artifact } = await installed("artifact/lib/artifact.js");

// act's server of artifacts does not know the field that says what kind of file it is: it is left out on the way.
async function throughProxy(server, upload) {
  const proxy = http.createServer(async (request, response) => {
    const asked = JSON.parse(Buffer.concat(await request.toArray()).toString());
    for (const name of ["mime_type", "mimeType"]) delete asked[name];
    const { host, connection, "content-length": length, ...headers } = request.headers;
    const answer = await fetch(new URL(request.url, server), { method: "POST", headers, body: JSON.stringify(asked) });
    response.writeHead(answer.status, { "content-type": "application/json" });
    // The end of a signature in base64, as the client sends it on.
    response.end((await answer.text()).replace(/=(?=(&|\\u0026)expires)/, "%3D"));
  });
  await new Promise((ready) => proxy.listen(0, "127.0.0.1", ready));
  process.env.ACTIONS_RESULTS_URL = `http://127.0.0.1:${proxy.address().port}/`;
  try {
    return await upload();
  } finally {
    proxy.close();
    proxy.closeAllConnections();
  }
}

const { GITHUB_SERVER_URL: server, GITHUB_REPOSITORY: repository, GITHUB_RUN_ID: run } = process.env;
const [file, missing] = [core.getInput("path", { required: true }), core.getInput("if-no-files-found")];
if (core.getBooleanInput("archive") || missing !== "ignore") throw new Error("not what the page is uploaded with");
try {
  if (fs.existsSync(file)) {
    const absolute = path.resolve(file);
    const upload = () =>
      artifact.uploadArtifact(path.basename(file), [absolute], path.dirname(absolute), { skipArchive: true });
    const results = process.env.ACTIONS_RESULTS_URL;
    const { id } = await (results ? throughProxy(results, upload) : upload());
    core.setOutput("artifact-url", `${server}/${repository}/actions/runs/${run}/artifacts/${id}`);
  }
} catch (error) {
  core.setFailed(error.message);
}
