// Summarises the readings of one station.
import { Failure } from "crunchbox";

/** @type {import("crunchbox").Handler<{station: string, readings?: number[]}>} */
export const handler = async ({ station, readings = [] }, { config, log }) => {
  if (readings.length === 0) throw new Failure("NoReadings", `no readings from ${station}`);
  log.info("summarised", { count: readings.length });
  return {
    station,
    unit: config.unit,
    count: readings.length,
    mean: readings.reduce((sum, reading) => sum + reading, 0) / readings.length,
    max: Math.max(...readings),
  };
};
