/** The example's own handler as a worker: event in, report out, by HTTP. */
import { handler } from "../../../../guest/examples/crunch-javascript/src/handler.js";

export default {
  async fetch(request, environment) {
    try {
      return Response.json(await handler(await request.json(), { config: environment.CONFIG, log: console }));
    } catch (error) {
      return Response.json({ errorType: error.name, errorMessage: error.message }, { status: 500 });
    }
  },
};
