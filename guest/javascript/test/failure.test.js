import assert from "node:assert/strict";
import { test } from "node:test";
import { failure } from "../guest/failure.js";

class NoReadings extends Error {}

const circle = {};
circle.self = circle;

for (const [what, thrown, kind, message] of [
  ["a string", "text", "Error", "text"],
  ["nothing", undefined, "Error", "undefined"],
  ["null", null, "Error", "null"],
  ["a symbol", Symbol("s"), "Error", "Symbol(s)"],
  ["an object", { a: 1 }, "Error", '{"a":1}'],
  ["a circle", circle, "Error", "{ self: [Circular] }"],
  ["something like an error", { name: "Mine", message: "m" }, "Mine", "m"],
  ["a class of errors", new NoReadings("none"), "NoReadings", "none"],
  ["a name of its own", Object.assign(new Error("m"), { name: "Own.Name-1" }), "Own.Name-1", "m"],
  ["a name that is no word", Object.assign(new Error("m"), { name: "two words" }), "Error", "two words: m"],
  ["a name that is the host's", Object.assign(new Error("m"), { name: "Crunchbox.Trap" }), "Error", "Crunchbox.Trap: m"],
  ["a name that is no text", Object.assign(new Error("m"), { name: 5 }), "Error", "m"],
  ["a lone surrogate", new Error("\ud800"), "Error", "\ufffd"],
  ["a name that only the other engine has", new ReferenceError("URL is not defined"), "ReferenceError", /URL is not defined; `URL` is there with `\[build\] engine = "starlingmonkey"`/],
]) {
  test(`${what} is thrown`, () => {
    const told = failure(thrown);
    assert.equal(told.kind, kind);
    if (message instanceof RegExp) assert.match(told.message, message);
    else assert.equal(told.message, message);
  });
}

test("an error whose properties all throw is still a failure", () => {
  const error = new Error("m");
  assert.ok(error.stack);
  for (const key of ["name", "message", "stack", "cause", "constructor"]) {
    Object.defineProperty(error, key, { enumerable: true, get: () => assert.fail(key) });
  }
  assert.deepEqual(failure(error), { kind: "Error", message: "", trace: [], details: null });
  const hostile = new Proxy({}, { get: () => assert.fail(), getPrototypeOf: () => assert.fail(), ownKeys: () => assert.fail() });
  assert.equal(failure(hostile).kind, "Error");
});

test("what an error holds beside its name and message is its details", () => {
  const error = Object.assign(new Error("m", { cause: new NoReadings("deeper") }), { station: "oslo", count: 1n });
  assert.deepEqual(JSON.parse(failure(error).details), { station: "oslo", count: "1", cause: { kind: "NoReadings", message: "deeper" } });
  assert.equal(failure(new Error("m")).details, null);
  assert.equal(failure(Object.assign(new Error("m"), { big: "x".repeat(1e5) })).details, null);
});

test("a cause that is its own cause comes to an end", () => {
  const error = new Error("m");
  error.cause = error;
  assert.ok(failure(error).details.length < 1000);
});

test("a long message is cut", () => {
  assert.equal(failure(new Error("x".repeat(1e6))).message.length, 32 * 1024);
});
