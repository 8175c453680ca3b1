/** Lets Node run tests of TypeScript and Clojure: `node --import crunchbox/register --test "test/*.ts"`. */
import { register } from "node:module";

register("./build/typescript-loader.mjs", import.meta.url);
register("./clojure/loader.mjs", import.meta.url);
