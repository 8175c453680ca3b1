import assert from "node:assert/strict";
import { test } from "node:test";
import { host } from "./host.js";
import { find, handle } from "../guest/serve.js";

test("every style of handler answers", async () => {
  const styles = {
    async: async (event) => event.a,
    sync: (event) => event.a,
    calledBack: (event, context, callback) => void setTimeout(() => callback(null, event.a), 1),
    done: (event, context) => (context.done(null, event.a), new Promise(() => {})),
    nothing: () => {},
  };
  const answers = await Promise.all(Object.values(styles).map((handler) => handle(handler, '{"a": 1}')));
  assert.deepEqual(answers, ["1", "1", "1", "1", "null"]);
});

test("a failure of the contract is all that a caller sees", async () => {
  const kind = (handler) => handle(handler, "{}").catch((failure) => [failure.kind, failure.message]);
  assert.deepEqual(await kind(() => { throw "text"; }), ["Error", "text"]);
  assert.deepEqual(await kind((event, context, callback) => callback(new TypeError("called"))), ["TypeError", "called"]);
  assert.deepEqual((await kind(async () => 1n))[0], "ResponseNotJson");
});

test("the context reads the host lazily and lets itself be changed", async () => {
  host.config = { unit: "mm", db: { port: 1 } };
  const handler = (event, context) => {
    context.requestId = "mine";
    return [context.config.unit, context.configAt("unit"), context.requestId, context.awsRequestId, context.memoryLimitInMB, context.getRemainingTimeInMillis(), context.eventText, context.identity];
  };
  assert.equal(await handle(handler, ' {"n":1.0}'), '["mm","mm","mine","request-1","128",1000," {\\"n\\":1.0}",null]');
});

test("an error of the config has the name of its code", async () => {
  host.config = { code: "Crunchbox.SecretUnavailable", message: "no secret", retryable: true };
  const failure = await handle((event, context) => context.config, "{}").catch((thrown) => thrown);
  assert.deepEqual([failure.kind, failure.message, failure.details], ["SecretUnavailable", "no secret", '{"retryable":true}']);
});

test("log lines have levels and fields, and mild ones are left out", async () => {
  host.lines = [];
  await handle((event, { log }) => log.warn("careful", { n: 1, big: 1n, none: undefined }), "{}");
  assert.deepEqual(host.lines, [{ level: "warn", message: "careful", fields: [["n", "1"], ["big", '"1"'], ["none", '"undefined"']] }]);
});

test("a handler is found by its name, also in a CommonJS module, and its absence is told", () => {
  const wanted = { name: "handler", place: "src/handler.js" };
  const handler = () => {};
  assert.equal(find({ handler }, wanted), handler);
  assert.equal(find({ default: { handler } }, wanted), handler);
  assert.throws(() => find({ main: 1, default: 2 }, wanted), { name: "NoHandler", message: "src/handler.js exports no `handler`; it exports `main`" });
  assert.throws(() => find({ handler: [] }, wanted), { message: "`handler` of src/handler.js is no function but an array" });
});
