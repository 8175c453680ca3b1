import assert from "node:assert/strict";
import { test } from "node:test";
import { context } from "crunchbox/testing";
import { handler } from "../src/handler.js";

test("readings are summarised in the configured unit", async () => {
  const made = context({ config: { unit: "mm" } });
  const summary = await handler({ station: "oslo", readings: [3.5, 4.25, 7.75] }, made);
  assert.deepEqual(summary, { station: "oslo", unit: "mm", count: 3, mean: 5.166666666666667, max: 7.75 });
  assert.deepEqual(made.lines, [{ level: "info", message: "summarised", fields: { count: 3 } }]);
});

test("no readings are a failure that names the station", async () => {
  await assert.rejects(handler({ station: "oslo" }, context()), { name: "NoReadings", message: "no readings from oslo" });
});
