/** The second argument of a handler: facts about the event, its configuration, its log and its objects. */
import * as host from "crunchbox:function/config@0.1.0";
import * as invocation from "crunchbox:function/invocation@0.1.0";
import { hostError } from "./hosterror.js";
import { log } from "./logger.js";
import { objects } from "./objects.js";

const MIB = 1024 * 1024;

/** Each fact is asked for when it is first read: most handlers read none, and a call to the host is not free. */
class Context {
  constructor(eventText) {
    this.eventText = eventText;
    this.callbackWaitsForEmptyEventLoop = true;
    this.log = log;
    this.objects = objects;
  }

  remainingMs() {
    return Number(invocation.remainingMs());
  }

  getRemainingTimeInMillis() {
    return this.remainingMs();
  }

  configAt(...path) {
    const text = config(() => host.get(path.map(String)));
    return text === undefined || text === null ? undefined : JSON.parse(text);
  }
}

const FACTS = {
  config: () => JSON.parse(config(() => host.tree([]))),
  requestId: () => invocation.requestId(),
  channel: () => invocation.channel(),
  release: () => invocation.release(),
  traceId: () => invocation.traceId() ?? undefined,
  tenantId: () => invocation.tenantId() ?? undefined,
  functionName: () => invocation.function(),
  functionVersion: () => invocation.release(),
  invokedFunctionArn: () => invocation.invokedArn() ?? undefined,
  memoryLimitInMB: () => String(Math.floor(Number(invocation.memoryLimit()) / MIB)),
  awsRequestId: () => invocation.requestId(),
  logGroupName: () => `/aws/lambda/${invocation.function()}`,
  logStreamName: () => invocation.release(),
  identity: () => json(invocation.identity()),
  clientContext: () => json(invocation.clientContext()),
};

for (const [name, read] of Object.entries(FACTS)) {
  Object.defineProperty(Context.prototype, name, {
    configurable: true,
    enumerable: true,
    get() {
      const value = read();
      set(this, name, value);
      return value;
    },
    set(value) {
      set(this, name, value);
    },
  });
}

function set(context, name, value) {
  Object.defineProperty(context, name, { value, enumerable: true, writable: true, configurable: true });
}

function json(text) {
  return typeof text === "string" ? JSON.parse(text) : undefined;
}

function config(ask) {
  try {
    return ask();
  } catch (error) {
    throw hostError(error);
  }
}

/** @returns {import("../index.js").Context} */
export function context(eventText) {
  return new Context(eventText);
}
