import assert from "node:assert/strict";
import { test } from "node:test";
import { response } from "../guest/response.js";

test("values are JSON as JSON.stringify has them, and nothing is null", () => {
  assert.equal(response({ a: [1, undefined, NaN], b: undefined, d: new Date(0) }), '{"a":[1,null,null],"d":"1970-01-01T00:00:00.000Z"}');
  assert.equal(response(undefined), "null");
  assert.equal(response({ toJSON() {} }), "null");
  assert.equal(response("\ud800"), '"\\ud800"');
});

test("what JSON can't say is refused with its place", () => {
  const circle = { b: [] };
  circle.b.push(circle);
  for (const [value, message] of [
    [1n, /^`response` is a BigInt/],
    [{ a: [0, 1n] }, /^`response.a\[1\]` is a BigInt/],
    [circle, /^`response.b\[0\]` is a circle/],
    [() => {}, /^the response is a function/],
    [Symbol("s"), /^the response is a symbol/],
  ]) {
    assert.throws(() => response(value), { name: "ResponseNotJson", message });
  }
});

test("the same object twice is no circle, and an error of toJSON is the author's own", () => {
  const twice = { x: 1 };
  assert.equal(response([twice, twice]), '[{"x":1},{"x":1}]');
  assert.throws(() => response({ toJSON: () => { throw new RangeError("mine"); } }), { name: "RangeError", message: "mine" });
});
