/** Types of handlers and of what they are given. */

/** Handles one event. What it returns or resolves to is the response; what it throws is the failure. */
export type Handler<Event = any, Response = any, Config = any> = (
  event: Event,
  context: Context<Config>,
) => Response | Promise<Response>;

/** A handler that calls back, as Lambda's Node runtime had them. */
export type CallbackHandler<Event = any, Response = any, Config = any> = (
  event: Event,
  context: Context<Config>,
  callback: (error?: unknown, response?: Response) => void,
) => void;

export interface Context<Config = any> {
  /** The configuration, all layers merged. Read when first asked for, with all its secrets. */
  config: Config;
  /** The value at a path of the configuration, such as `configAt("db", "host")`: no other secret is fetched. */
  configAt(...path: string[]): any;
  /** Log lines with fields. `console` writes to the same log. */
  log: Log;
  /** Objects of S3 and files of folders, as far as the function's `objects` grant goes. */
  objects: Objects;
  /** The event exactly as it came: numbers have all their digits. */
  eventText: string;

  requestId: string;
  functionName: string;
  channel: string;
  release: string;
  traceId?: string;
  tenantId?: string;
  /** Milliseconds until the host stops this event. */
  remainingMs(): number;

  /** Lambda's names for the same. */
  awsRequestId: string;
  functionVersion: string;
  invokedFunctionArn?: string;
  memoryLimitInMB: string;
  logGroupName: string;
  logStreamName: string;
  identity?: { cognitoIdentityId: string; cognitoIdentityPoolId: string };
  clientContext?: any;
  callbackWaitsForEmptyEventLoop: boolean;
  getRemainingTimeInMillis(): number;
}

export type Level = "trace" | "debug" | "info" | "warn" | "error" | "fatal";

/** One line at that level. Fields are any JSON. */
export type Log = Record<Level, (message: string, fields?: Record<string, unknown>) => void>;

export interface Objects {
  /** All bytes of an object, named in full such as `s3://acme/readings/a.json`; null where there is none. */
  read(at: string): Promise<Uint8Array | null>;
  readText(at: string): Promise<string | null>;
  /** Writes an object, in place of the one of that name. */
  write(at: string, content: string | Uint8Array): Promise<void>;
  /** All objects whose names begin with `prefix`. */
  list(prefix: string): AsyncIterable<{ at: string; size: number; modified: Date }>;
}

/** A failure with a kind of your own choice: what callers see as `errorType`, and what Step Functions match. */
export class Failure extends Error {
  /**
   * @param kind one word, such as `NoReadings`
   * @param message one sentence: what went wrong, and with which input
   * @param details goes to the log, not to the caller
   */
  constructor(kind: string, message: string, details?: object);
}
