/**
 * Checks the types of a handler in TypeScript and of all that it imports, on a thread beside the one that builds. Settings are
 * those of `tsconfig.json`; where there is none, or no compiler, nothing is checked.
 */
import { existsSync } from "node:fs";
import path from "node:path";
import { createRequire } from "node:module";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { Problem, Problems } from "./problem.mjs";

const SETTINGS = "tsconfig.json";
/** More than that nobody reads at once. */
const MOST = 20;

/**
 * @param {{language: string, folder: string, handler: {file: string}}} work
 * @returns {Promise<string[]>} the files that were looked at, so far as they are the author's
 * @throws {Problems} where types don't fit
 */
export async function check({ language, folder, handler }) {
  if (language !== "typescript" || !existsSync(path.join(folder, SETTINGS))) return [];
  const thread = new Worker(new URL(import.meta.url), { workerData: { folder, file: handler.file } });
  const { problems, inputs } = await new Promise((resolve, reject) => thread.once("message", resolve).once("error", reject));
  if (problems.length > 0) throw new Problems(problems.map(({ message, ...more }) => new Problem(message, more)));
  return inputs;
}

function checked({ folder, file }) {
  const compiler = createRequire(path.join(folder, "package.json"));
  let ts;
  try {
    ts = compiler("typescript");
  } catch {
    return { problems: [], inputs: [] };
  }
  const { config, error } = ts.readConfigFile(path.join(folder, SETTINGS), ts.sys.readFile);
  const { options, errors } = ts.parseJsonConfigFileContent(config ?? {}, { ...ts.sys, readDirectory: () => [file] }, folder);
  const program = ts.createProgram([path.join(folder, file)], { ...options, noEmit: true });
  const wrong = [...(error ? [error] : errors), ...(options.noCheck ? [] : ts.getPreEmitDiagnostics(program))];
  const problems = wrong.filter(({ category }) => category === ts.DiagnosticCategory.Error).map((each) => problem(ts, folder, each));
  const sources = program.getSourceFiles().map(({ fileName }) => path.relative(folder, fileName));
  const own = (source) => !source.startsWith("..") && !path.isAbsolute(source) && !/(^|\/)(node_modules|\.crunchbox)\//.test(source);
  return { problems: problems.slice(0, MOST), inputs: [SETTINGS, ...sources.filter(own)] };
}

function problem(ts, folder, { code, messageText, file, start, length }) {
  const message = `TS${code}: ${ts.flattenDiagnosticMessageText(messageText, "\n  ")}`;
  if (!file) return { message };
  const { line, character } = file.getLineAndCharacterOfPosition(start);
  const text = file.text.split(/\r?\n/)[line];
  const at = { file: path.relative(folder, file.fileName), line: line + 1, column: character + 1, text };
  return { message, at: { ...at, length: Math.min(length, text.length - character) } };
}

if (!isMainThread) parentPort.postMessage(checked(workerData));
