/** A loop over Lambda's Runtime API in plain Node; the handler is the example's own. */
import http from "node:http";
import { handler } from "../../../../guest/examples/crunch-javascript/src/handler.js";

const [hostname, port] = process.env.AWS_LAMBDA_RUNTIME_API.split(":");
const agent = new http.Agent({ keepAlive: true });
const context = { config: JSON.parse(process.env.CRUNCH_CONFIG), log: console };

/** One request; its response and the whole of its body. */
function ask(method, path, body = "") {
  return new Promise((resolve, reject) => {
    const headers = { "Content-Length": Buffer.byteLength(body) };
    const request = http.request({ hostname, port, method, path, headers, agent }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (chunk) => (text += chunk));
      response.on("end", () => resolve({ headers: response.headers, text }));
    });
    request.on("error", reject);
    request.end(body);
  });
}

for (;;) {
  const event = await ask("GET", "/2018-06-01/runtime/invocation/next");
  const invocation = `/2018-06-01/runtime/invocation/${event.headers["lambda-runtime-aws-request-id"]}`;
  try {
    const report = await handler(JSON.parse(event.text), context);
    await ask("POST", `${invocation}/response`, JSON.stringify(report));
  } catch (error) {
    const failure = { errorType: error.name, errorMessage: error.message };
    await ask("POST", `${invocation}/error`, JSON.stringify(failure));
  }
}
