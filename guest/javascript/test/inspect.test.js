import assert from "node:assert/strict";
import { test } from "node:test";
import util from "node:util";
import { format, inspect } from "../guest/inspect.js";

class Station {
  name = "oslo";
}

const VALUES = [
  1, -0, "it's", 'both \' and "', "line\nbreak", 10n, true, null, undefined, Symbol("s"), [], {}, [1, [2, [3, [4, [5]]]]],
  { a: { b: { c: { d: 1 } } } }, { "no-name": 1, $ok: 2 }, new Map([["k", { v: 1 }]]), new Set([1, "x"]), new Station(), new Date(0), /x/g,
  new Uint8Array([1, 2]), Object.create(null), { get x() { return 1; }, set y(_) {} }, function named() {}, () => {}, class A {}, Array.from({ length: 3 }),
];

test("values are told as Node tells them on one line", () => {
  for (const value of VALUES) assert.equal(inspect(value), util.inspect(value, { breakLength: Infinity, compact: 100 }));
});

test("formats take their values as Node's do", () => {
  for (const values of [["%s is %d", "x", 5, "rest"], ["%i %f", "42.5x", "1.5"], ["%j", { a: 1 }], ["%%"], ["%% %s", 1], ["%s"], ["100%", 5], [1, "a", { b: 1 }], ["%s", null], ["%d", 5n], ["%c styled", "css"], ["%s", Symbol("x")]]) {
    assert.equal(format(...values), util.format(...values));
  }
});

test("what can't be read is told as such", () => {
  const hostile = new Proxy({}, { getPrototypeOf: () => assert.fail(), ownKeys: () => assert.fail(), get: () => assert.fail() });
  assert.equal(inspect(hostile), "[unreadable]");
  const circle = { list: [] };
  circle.list.push(circle);
  assert.equal(inspect(circle), "{ list: [ [Circular] ] }");
});

test("much is told in part", () => {
  assert.match(inspect(Array.from({ length: 1000 }, () => 1)), /1, ... 900 more \]$/);
  assert.ok(inspect("x".repeat(1e6)).length < 11_000);
});
