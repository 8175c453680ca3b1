import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import { advice } from "../build/advice.mjs";
import { findHandler } from "../build/handler.mjs";
import { Problem } from "../build/problem.mjs";

async function project(t, ...files) {
  const folder = await mkdtemp(path.join(tmpdir(), "crunchbox-"));
  t.after(() => rm(folder, { recursive: true }));
  for (const file of files) {
    await mkdir(path.dirname(path.join(folder, file)), { recursive: true });
    await writeFile(path.join(folder, file), "");
  }
  return folder;
}

test("the handler is where it says, or where handlers usually are", async (t) => {
  const folder = await project(t, "src/handler.js", "index.mjs", "app/main.ts");
  const found = (handler) => findHandler(folder, { language: "javascript", handler });
  assert.deepEqual(await found(null), { file: "src/handler.js", name: "handler" });
  assert.deepEqual(await found("index.run"), { file: "index.mjs", name: "run" });
  assert.deepEqual(await found("app/main.handler"), { file: "app/main.ts", name: "handler" });
  await assert.rejects(found("app/none.handler"), /looked for `app\/none.mjs`, `app\/none.js`/);
  await assert.rejects(found("handler"), /expected a file and an export, such as `src\/handler.handler`, got `handler`/);
});

test("a problem shows its line with the place under it", () => {
  const at = { file: "src/handler.js", line: 12, column: 3, text: "\tx = ;", length: 1 };
  const told = new Problem("unexpected `;`", { at, trace: ["f (a.js:1:2)"], hint: "remove it" }).told(false);
  assert.equal(told, "src/handler.js:12:3: unexpected `;`\n  12 | \tx = ;\n     | \t ^\n  at f (a.js:1:2)\nhint: remove it");
});

test("what people of Node run into is told with a next step", () => {
  assert.match(advice('Could not resolve "node:fs"').hint, /context.objects/);
  assert.match(advice('Could not resolve "dgram"').message, /Node's own/);
  assert.deepEqual(advice('Could not resolve "@a/b/c"'), { message: "there is no package `@a/b`", hint: "npm install @a/b" });
  assert.equal(advice("Unexpected token"), null);
});
