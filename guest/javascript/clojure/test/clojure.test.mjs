/** Tests of the Clojure build. They need the packages of tools.json, in `CRUNCHBOX_TOOLS` or above this folder. */

import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { after, test } from "node:test";
import { pathToFileURL } from "node:url";
import { clojure } from "../plugin.mjs";
import { sourceMap } from "../positions.mjs";
import { handlers, munge, requires, tokens } from "../source.mjs";

const tools = createRequire(process.env.CRUNCHBOX_TOOLS ? resolve(process.env.CRUNCHBOX_TOOLS, "package.json") : import.meta.url);
const esbuild = tools("esbuild");
const packages = resolve(dirname(tools.resolve("esbuild/package.json")), "..");

const scratch = mkdtempSync(join(tmpdir(), "clojure-"));
after(() => {
  process.chdir(tmpdir());
  rmSync(scratch, { recursive: true });
});
let count = 0;

function project(files) {
  const folder = join(scratch, String(count++));
  for (const [name, text] of Object.entries({ "package.json": '{"type": "module"}', ...files })) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
  symlinkSync(packages, join(folder, "node_modules"));
  return folder;
}

async function build(files, dialect = "cherry") {
  const folder = project(files);
  // A build runs in the project's folder; the compilers look for macros there.
  process.chdir(folder);
  await esbuild.build({
    entryPoints: [join(folder, "src/handler.cljs")],
    outfile: join(folder, "out.mjs"),
    absWorkingDir: folder,
    bundle: true,
    format: "esm",
    logLevel: "silent",
    plugins: [clojure({ dialect, folder })],
  });
  return import(pathToFileURL(join(folder, "out.mjs")));
}

async function problem(source, dialect) {
  const { errors } = await build({ "src/handler.cljs": source }, dialect).then(() => ({ errors: [] }), (error) => error);
  return errors.map(({ text, location: { file, line, column } }) => `${file}:${line}:${column + 1}: ${text}`);
}

const NS = "(ns handler (:require [crunchbox.core :refer [defhandler]]))\n";
const context = (config = {}) => ({ config, eventText: "…", requestId: "r-1", getRemainingTimeInMillis: () => 5 });

for (const dialect of ["cherry", "squint"]) {
  test(`${dialect}: an event comes as Clojure's data, and a result goes as JSON's`, async () => {
    const source = `${NS}(defhandler h [{:keys [xs] :as event} {:keys [config request-id]}]
      {:event event :a/b (map inc xs) "s" #{:k} :unit (:unit config) :id request-id :none nil})`;
    const { handler } = await build({ "src/handler.cljs": source }, dialect);
    const wide = Object.fromEntries(Array.from({ length: 40 }, (_, at) => [`k${at}`, at]));
    const event = { xs: [1, 2], deep: { "x/y": [null, true, 1.5, "é"] }, wide, empty: {} };
    assert.deepEqual(JSON.parse(JSON.stringify(handler(event, context({ unit: "mm" })))), {
      event, "a/b": [2, 3], s: ["k"], unit: "mm", id: "r-1", none: null,
    });
  });

  test(`${dialect}: the kind of an ex-info is the error's name, and the rest are its properties`, async () => {
    const { handler } = await build({ "src/handler.cljs": `${NS}(defhandler h [e c] (throw (ex-info "m" {:kind "K" :x [1]})))` }, dialect);
    assert.throws(() => handler({}, context()), (error) => {
      assert.deepEqual([error.name, error.message, { ...error }], ["K", "m", { x: [1] }]);
      return true;
    });
  });

  test(`${dialect}: a promise is awaited`, async () => {
    const source = `${NS}(defhandler ^:async h [e c] (let [x (js-await (js/Promise.resolve 1))] {:x x}))`;
    const { handler } = await build({ "src/handler.cljs": source }, dialect);
    assert.deepEqual(await handler({}, context()), { x: 1 });
  });

  test(`${dialect}: config is not read unless it is looked at`, async () => {
    const { handler } = await build({ "src/handler.cljs": `${NS}(defhandler h [e {:keys [request-id]}] request-id)` }, dialect);
    const unreadable = Object.defineProperty(context(), "config", { get: () => assert.fail("config was read") });
    assert.equal(handler({}, unreadable), "r-1");
  });

  test(`${dialect}: what is wrong is blamed on its place in the Clojure file`, async () => {
    const at = (place, text) => [`src/handler.cljs:${place}: ${text}`];
    assert.deepEqual(await problem(`${NS}(defhandler h [e c]\n  (inc 1)`, dialect), at("2:1", "`(` is never closed: expected `)`"));
    assert.deepEqual(await problem(`${NS}(defhandler h [e c]\n  (nonsense e))`, dialect), at("3:4", "`nonsense` is not defined"));
    assert.deepEqual(await problem(`${NS}(let [] (defhandler h [e c] e))`, dialect), at("2:10", "`defhandler` stands at the top level of a namespace"));
    assert.match((await problem("(ns handler (:require [no.such :as n]))\n(n/x)", dialect))[0], /^src\/handler\.cljs:1:24: there is no namespace `no\.such`: looked for src\/no\/such\.cljs/);
    assert.deepEqual(await problem("(ns handler (:require [clojure.string :as s]))\n(def x (s/jion [1]))", dialect), at("2:9", "`s/jion` is not defined"));
  });
}

test("a name that a namespace of the project does not have is an error at its use", async () => {
  const files = {
    "src/handler.cljs": "(ns handler (:require [app.my-math :as m :refer [twice]]))\n(def x (m/thrice (twice 1)))",
    "src/app/my_math.cljc": "(ns app.my-math)\n(defn twice [x] (* 2 x))",
  };
  const { errors } = await build(files).catch((error) => error);
  assert.equal(errors[0].text, "`app.my-math` has no `thrice` (src/app/my_math.cljc)");
});

test("macros of the project are found by :require-macros", async () => {
  const { x } = await build({
    "src/handler.cljs": "(ns handler (:require-macros [app.macros :refer [twice]]))\n(def x (twice 21))",
    "src/app/macros.cljc": "(ns app.macros)\n(defmacro twice [x] `(+ ~x ~x))",
  });
  assert.equal(x, 42);
});

test("what is no data is refused in a result", async () => {
  const { handler } = await build({ "src/handler.cljs": `${NS}(defhandler h [e c] {:a (atom 1)})` });
  assert.throws(() => handler({}, context()), /deref/);
});

test("the scan sees through strings, characters, comments and regular expressions", () => {
  const found = tokens('(ns a (:require [b.c :as d])) ; (x\n"(\\"" \\( #"[(]" (defhandler h [])');
  assert.deepEqual(found.filter(({ kind }) => kind === "word").map(({ text }) => text), ["ns", "a", "b.c", "d", "defhandler", "h"]);
  assert.equal(requires(found).get("b.c").alias, "d");
  assert.equal(handlers(found)[0].name.line, 2);
});

test("symbols are spelled as the compilers spell them", () => {
  assert.equal(munge("a-b?->c!*"), "a_b_QMARK___GT_c_BANG__STAR_");
});

test("each line of the JavaScript is led back to the line of its Clojure", () => {
  const clojureTokens = tokens('(defn f [x]\n  (g "one"))\n(defn h []\n  (g "two"))');
  const code = 'var f = function (x_1) {\nreturn g("one");\n};\nvar h = function () {\nreturn g("two");\n};';
  const { mappings } = sourceMap({ tokens: clojureTokens, code, file: "a.cljs" });
  assert.equal(mappings.split(";").length, 6);
  assert.match(mappings.split(";")[1], /^AAC/);
});
