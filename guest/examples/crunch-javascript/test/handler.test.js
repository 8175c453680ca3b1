import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { context } from "crunchbox/testing";
import { handler } from "../src/handler.js";
import { summarise } from "../src/stats.js";

const config = { percentiles: [50, 95], outliers: { iqr: 1.5 } };

async function crunch(name, made = context({ config })) {
  const file = new URL(`../../crunch/events/${name}.json`, import.meta.url);
  return handler(JSON.parse(await readFile(file, "utf8")), made);
}

test("readings are grouped by station and metric", async () => {
  const { stations } = await crunch("two-stations");
  assert.equal(stations.oslo.temp.count, 9);
  assert.deepEqual(stations.oslo.temp.outliers, [48.5]);
  assert.equal(stations.bergen.rain.max, 12.4);
});

test("a message that is no reading is skipped and logged", async () => {
  const made = context({ config });
  assert.equal((await crunch("not-json", made)).stations.oslo.temp.count, 1);
  assert.equal(made.lines.length, 2);
  for (const { level, message } of made.lines) assert.match(`${level} ${message}`, /^warn skipped /);
});

test("an event without any reading is a failure", async () => {
  await assert.rejects(handler({ Records: [] }, context({ config })), { name: "NoReadings" });
});

test("a percentile beyond a hundred is refused and a repeated one is given once", async () => {
  const wrong = context({ config: { ...config, percentiles: [101] } });
  await assert.rejects(crunch("one-record", wrong), { name: "ConfigError", message: "percentiles: expected 0 to 100, got 101" });
  const repeated = context({ config: { ...config, percentiles: [95, 95] } });
  assert.equal(JSON.stringify(await crunch("one-record", repeated)).match(/p95/g).length, 1);
});

test("percentiles lie between the nearest ranks", () => {
  const { p0, p50, p100 } = summarise([4, 1, 3, 2], { percentiles: [0, 50, 100], iqr: 1.5 });
  assert.deepEqual([p0, p50, p100], [1, 2.5, 4]);
});
