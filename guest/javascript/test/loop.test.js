import assert from "node:assert/strict";
import { test } from "node:test";
import { begin } from "../guest/event.js";
import * as loop from "../guest/loop.js";

test("a timer is refused while the module loads, and set inside of a handler", () => {
  assert.throws(() => loop.setTimeout(() => {}, 1), { name: "TooEarly", message: /^`setTimeout` is called while the module loads/ });
  begin();
  loop.clearTimeout(loop.setTimeout(() => {}, 1));
  assert.equal(loop.turn(), false);
});

test("timers run by their times, equal ones in the order in which they were set", () => {
  const seen = [];
  loop.setTimeout((...args) => seen.push(...args), 20, "late", 1);
  loop.setTimeout(() => seen.push("first"), 10);
  loop.setTimeout(() => seen.push("second"), 10);
  const before = loop.now();
  while (loop.turn());
  assert.deepEqual(seen, ["first", "second", "late", 1]);
  assert.equal(loop.now() - before, 20);
});

test("an interval runs until it is cleared, also from within", () => {
  let count = 0;
  const interval = loop.setInterval(() => ++count === 3 && loop.clearTimeout(interval), 5);
  while (loop.turn());
  assert.equal(count, 3);
});

test("what is no function is refused by name", () => {
  assert.throws(() => loop.queueMicrotask(null), /queueMicrotask: expected a function, got null/);
});

test("many microtasks that add microtasks all run", () => {
  let count = 0;
  const next = () => ++count < 10_000 && loop.enqueue(next);
  loop.enqueue(next);
  loop.drain();
  assert.equal(count, 10_000);
});
