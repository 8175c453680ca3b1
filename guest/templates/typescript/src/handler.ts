// Summarises the readings of one station.
import { Failure, type Handler } from "crunchbox";

interface Readings {
  station: string;
  readings?: number[];
}

interface Summary {
  station: string;
  unit: string;
  count: number;
  mean: number;
  max: number;
}

interface Config {
  unit: string;
}

export const handler = (async ({ station, readings = [] }, { config, log }) => {
  if (readings.length === 0) throw new Failure("NoReadings", `no readings from ${station}`);
  log.info("summarised", { count: readings.length });
  return {
    station,
    unit: config.unit,
    count: readings.length,
    mean: readings.reduce((sum, reading) => sum + reading, 0) / readings.length,
    max: Math.max(...readings),
  };
}) satisfies Handler<Readings, Summary, Config>;
