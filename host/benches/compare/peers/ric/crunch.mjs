/** The example's handler as AWS's runtime client for Node calls it: the configuration comes from a variable. */
import { handler as crunch } from "../../../../../guest/examples/crunch-javascript/src/handler.js";

const config = JSON.parse(process.env.CRUNCH_CONFIG);

export const handler = (event, context) => crunch(event, { ...context, config, log: console });
