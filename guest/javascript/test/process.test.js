import assert from "node:assert/strict";
import { test } from "node:test";
import "./host.js";
import { begin } from "../guest/event.js";
import { process } from "../guest/process.js";
import { crypto, random } from "../guest/random.js";

test("variables and random bytes are refused while the module loads", () => {
  assert.throws(() => process.env.HOME, { name: "TooEarly", message: /`process.env.HOME` is read .* read it inside the handler/ });
  assert.throws(() => ({ ...process.env }), { name: "TooEarly" });
  assert.throws(() => crypto.randomUUID(), { name: "TooEarly" });
});

test("a handler sees the granted variables, and may change its own copy", () => {
  begin();
  process.env.NEW = 5;
  assert.deepEqual({ ...process.env }, { HOME: "/root", NEW: "5" });
  assert.equal("HOME" in process.env, true);
  delete process.env.HOME;
  assert.equal(process.env.HOME, undefined);
});

test("random numbers fill their range and UUIDs have their form", () => {
  const numbers = Array.from({ length: 10_000 }, random);
  assert.ok(numbers.every((number) => number >= 0 && number < 1));
  assert.ok(Math.abs(numbers.reduce((sum, number) => sum + number, 0) / numbers.length - 0.5) < 0.02);
  assert.match(crypto.randomUUID(), /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
});
