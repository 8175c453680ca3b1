import assert from "node:assert/strict";
import { test } from "node:test";
import { structuredClone as ours } from "../guest/clone.js";

test("values are copied as Node copies them", () => {
  const buffer = Uint8Array.of(1, 2, 3, 4).buffer;
  const value = {
    list: [1, , "x", null, undefined], date: new Date(5), pattern: /a/gi, map: new Map([[{ k: 1 }, new Set([1n])]]), buffer,
    view: new Uint16Array(buffer, 2, 1), data: new DataView(buffer, 1), boxed: Object("s"), error: new RangeError("m", { cause: "c" }),
  };
  value.self = value;
  const copy = ours(value);
  assert.deepEqual(copy, structuredClone(value));
  assert.equal(copy.self, copy);
  assert.equal(copy.view.buffer, copy.buffer);
  assert.notEqual(copy.buffer, buffer);
});

test("what is no data is refused", () => {
  for (const value of [() => {}, Symbol("s"), { deep: [() => {}] }, new WeakMap()]) assert.throws(() => ours(value), { name: "DataCloneError" });
});
