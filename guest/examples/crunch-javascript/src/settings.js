// What the configuration says, checked.
import { Failure } from "crunchbox";

/** @returns {{percentiles: number[], iqr: number}} with each percentile once, in order */
export function settings({ percentiles, outliers }) {
  const ranks = expected("percentiles", "an array of whole numbers", percentiles, (value) => Array.isArray(value) && value.every(Number.isInteger));
  const iqr = expected("outliers.iqr", "a number", outliers?.iqr, (value) => typeof value === "number");
  const sorted = [...new Set(ranks)].sort((a, b) => a - b);
  const wrong = sorted.find((rank) => rank < 0 || rank > 100);
  if (wrong !== undefined) throw new Failure("ConfigError", `percentiles: expected 0 to 100, got ${wrong}`);
  return { percentiles: sorted, iqr };
}

function expected(key, wanted, value, fits) {
  if (fits(value)) return value;
  throw new Failure("ConfigError", `${key}: expected ${wanted}, got ${JSON.stringify(value)}`);
}
