/** What stops a build, told with the place in the author's source. */

/** @typedef {{file: string, line: number, column: number, text?: string, length?: number}} Location */

export class Problem extends Error {
  /**
   * @param {string} message
   * @param {{at?: Location | null, trace?: string[], hint?: string}} [more]
   */
  constructor(message, { at = null, trace = [], hint = "" } = {}) {
    super(message);
    Object.assign(this, { at, trace, hint });
  }

  /** The problem in lines for people. */
  told(colour) {
    const red = (text) => (colour ? `\u001b[31m${text}\u001b[0m` : text);
    const place = this.at ? `${this.at.file}:${this.at.line}:${this.at.column}: ` : "";
    const lines = [place + red(this.message)];
    if (this.at?.text) lines.push(...excerpt(this.at).map((line, row) => (row === 1 ? red(line) : line)));
    for (const frame of this.trace) lines.push(`  at ${frame}`);
    if (this.hint) lines.push(`hint: ${this.hint}`);
    return lines.join("\n");
  }
}

/** Several problems at once. */
export class Problems extends Problem {
  /** @param {Problem[]} problems */
  constructor(problems) {
    super(problems.map(({ message }) => message).join("; "));
    this.problems = problems;
  }

  told(colour) {
    return this.problems.map((problem) => problem.told(colour)).join("\n");
  }
}

/** A package is not there that only this build needs. */
export class MissingTool extends Error {
  /** @param {string[]} packages with their versions @param {string | null} because */
  constructor(packages, because) {
    super(`missing: ${packages.join(", ")}`);
    Object.assign(this, { packages, because });
  }
}

function excerpt({ line, column, text, length = 1 }) {
  const number = String(line);
  const before = text.slice(0, column - 1).replace(/[^\t]/g, " ");
  return [`  ${number} | ${text}`, `  ${" ".repeat(number.length)} | ${before}${"^".repeat(Math.max(length, 1))}`];
}
