"""A loop over Lambda's Runtime API in plain Python; the handler is the example's own, found on `PYTHONPATH`."""

import http.client
import json
import os
from types import SimpleNamespace

from lambda_function import lambda_handler

INVOCATION = "/2018-06-01/runtime/invocation/"


def main() -> None:
    """Serves events until the Runtime API is gone."""
    api = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
    context = SimpleNamespace(config=json.loads(os.environ["CRUNCH_CONFIG"]))
    while True:
        api.request("GET", INVOCATION + "next")
        event = api.getresponse()
        request_id = event.headers["Lambda-Runtime-Aws-Request-Id"]
        try:
            report, path = lambda_handler(json.loads(event.read()), context), "/response"
        except Exception as error:
            report, path = {"errorType": type(error).__name__, "errorMessage": str(error)}, "/error"
        body = json.dumps(report, ensure_ascii=False, separators=(",", ":")).encode()
        api.request("POST", INVOCATION + request_id + path, body)
        api.getresponse().read()


if __name__ == "__main__":
    main()
