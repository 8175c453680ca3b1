/** Errors that the host answers with, as JavaScript's errors. */

/**
 * `{code, message, retryable}` as an error whose name is the code without the host's own prefix, which no failure may claim.
 * QuickJS throws the record itself, StarlingMonkey an error that holds it.
 */
export function hostError(thrown) {
  const record = thrown?.payload ?? thrown;
  if (typeof record?.code !== "string") return thrown;
  const error = new Error(record.message);
  error.name = record.code.replace(/^Crunchbox\./, "");
  error.retryable = record.retryable;
  return error;
}
