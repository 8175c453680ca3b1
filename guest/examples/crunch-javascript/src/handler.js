// Crunches readings of measuring stations: SNS events in, statistics per station and metric out.
import { Failure } from "crunchbox";
import { settings } from "./settings.js";
import { summarise } from "./stats.js";

/** @type {import("crunchbox").Handler} */
export const handler = async (event, { config, log }) => {
  const wanted = settings(config);
  /** @type {Map<string, Map<string, number[]>>} a station may be called `constructor`, which is no key for an object */
  const stations = new Map();
  for (const { Sns: message } of event.Records) {
    try {
      for (const { station, metric, value } of readings(message.Message)) {
        entry(entry(stations, station, () => new Map()), metric, () => []).push(value);
      }
    } catch (problem) {
      log.warn(`skipped ${message.MessageId}: ${problem.message}`, { topic: message.TopicArn });
    }
  }
  if (stations.size === 0) throw new Failure("NoReadings", "no record held a reading");
  return { stations: mapped(stations, (metrics) => mapped(metrics, (values) => summarise(values, wanted))) };
};

/** A message holds one reading or a list of them; it is taken whole or not at all. */
function readings(message) {
  const found = [JSON.parse(message)].flat();
  for (const reading of found) {
    for (const [field, type] of Object.entries({ station: "string", metric: "string", value: "number" })) {
      if (typeof reading?.[field] !== type) throw new TypeError(`expected a ${type} as \`${field}\`, got ${JSON.stringify(reading?.[field])}`);
    }
  }
  return found;
}

function entry(map, key, make) {
  if (!map.has(key)) map.set(key, make());
  return map.get(key);
}

function mapped(map, change) {
  return Object.fromEntries([...map].map(([key, value]) => [key, change(value)]));
}
