/** What handlers may import from `crunchbox`. The rest of the package is types, and what the build uses. */

/** A failure with a kind of your own choice: what callers see as `errorType`, and what Step Functions match. */
export class Failure extends Error {
  /**
   * @param {string} kind  one word, such as `NoReadings`
   * @param {string} message  one sentence: what went wrong, and with which input
   * @param {object} [details]  goes to the log, not to the caller
   */
  constructor(kind, message, details = {}) {
    super(message);
    this.name = kind;
    Object.assign(this, details);
  }
}
