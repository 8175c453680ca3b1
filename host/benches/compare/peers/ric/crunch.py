"""The example's handler as AWS's runtime client for Python calls it: the configuration comes from a variable."""

import json
import os
from typing import Any

import lambda_function

CONFIG = json.loads(os.environ["CRUNCH_CONFIG"])


def lambda_handler(event: dict[str, Any], context: Any) -> Any:
    """Hands the event on."""
    context.config = CONFIG
    return lambda_function.lambda_handler(event, context)
