import type { Context, Level } from "./index.js";

/** What a made-up context has, beyond its defaults. Any fact of a context may be given. */
export interface Made<Config = any> extends Partial<Omit<Context<Config>, "log" | "objects" | "config">> {
  config?: Config;
  /** Objects by their names; everything is granted. */
  objects?: Record<string, string | Uint8Array>;
}

export interface Line {
  level: Level;
  message: string;
  fields: Record<string, unknown>;
}

/** A context for unit tests. `lines` collects what the handler logs by `context.log`. */
export function context<Config = any>(made?: Made<Config>): Context<Config> & { lines: Line[]; written: Map<string, Uint8Array> };
