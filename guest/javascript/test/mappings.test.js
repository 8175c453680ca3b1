import assert from "node:assert/strict";
import { test } from "node:test";
import { original, table } from "../guest/mappings.js";
import { trace } from "../guest/trace.js";

// As esbuild writes it: two modules, the first not the author's; `inner` became `inner2`.
const made = table(
  { sources: [null, "src/handler.js"], names: ["inner"], mappings: ";AAAA;;ACEA,SAASA;AACT;AAAA,EACE" },
  "\nsdk();\n\nfunction inner2() {\n}\n  boom();",
);

test("places of the bundle are told in the author's sources", () => {
  assert.deepEqual(original(made, 4, 1), { source: "src/handler.js", line: 3, column: 1 });
  assert.deepEqual(original(made, 6, 5), { source: "src/handler.js", line: 5, column: 3 });
});

test("what is not the author's, or nowhere, has no place", () => {
  for (const [line, column] of [[1, 1], [2, 1], [3, 1], [99, 1], [0, 0]]) assert.equal(original(made, line, column), null);
});

test("stacks of both engines become the same trace", () => {
  const quickjs = "    at inner2 (componentize-qjs:user.js:4:1)\n    at next (native)\n    at <anonymous> (componentize-qjs:user.js:6:5)\n    at handle (componentize-qjs:user.js:2:1)\n";
  const starlingmonkey = "inner2@source.js:4:1\nasync*@source.js:6:5\nhandle@source.js:2:1\nexport@/tmp/initializer.js:16:2\n";
  const expected = ["inner (src/handler.js:3:1)", "src/handler.js:5:3"];
  assert.deepEqual(trace(quickjs, made), expected);
  assert.deepEqual(trace(starlingmonkey, made), expected);
});

test("a lowered async function is one line, with its name", () => {
  const stack = "    at <anonymous> (componentize-qjs:user.js:6:5)\n    at next (native)\n    at __async (componentize-qjs:user.js:2:1)\n    at inner2 (componentize-qjs:user.js:4:1)\n";
  assert.deepEqual(trace(stack, made), ["inner (src/handler.js:5:3)"]);
});

test("many lines are found on their pages", () => {
  const lines = Array.from({ length: 200 }, (_, row) => (row === 0 ? "AAAA" : "AACA"));
  const long = table({ sources: ["a.js"], names: [], mappings: lines.join(";") }, "x\n".repeat(200));
  for (const line of [1, 64, 65, 128, 129, 200]) assert.equal(original(long, line, 1).line, line);
});
