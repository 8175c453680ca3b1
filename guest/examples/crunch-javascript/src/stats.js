// The statistics of one metric at one station.

/**
 * Summarises at least one value. Percentiles stand beside the rest, as `p50` and the like.
 * @param {number[]} values
 * @param {{percentiles: number[], iqr: number}} settings
 */
export function summarise(values, { percentiles, iqr }) {
  const sorted = values.toSorted((a, b) => a - b);
  const [first, third] = [percentile(sorted, 25), percentile(sorted, 75)];
  const reach = iqr * (third - first);
  return {
    count: sorted.length,
    min: sorted[0],
    max: sorted.at(-1),
    mean: sorted.reduce((sum, value) => sum + value, 0) / sorted.length,
    ...Object.fromEntries(percentiles.map((rank) => [`p${rank}`, percentile(sorted, rank)])),
    outliers: sorted.filter((value) => value < first - reach || value > third + reach),
  };
}

/** Between the two nearest ranks, linearly, as spreadsheets do. */
export function percentile(sorted, rank) {
  const hundredths = rank * (sorted.length - 1);
  const place = Math.floor(hundredths / 100);
  const rest = hundredths % 100;
  const [below, above] = [sorted[place], sorted[place + (rest > 0 ? 1 : 0)]];
  return below + (above - below) * (rest / 100);
}
