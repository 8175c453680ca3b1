"""A function as people write them in Python, for AWS's own `awslambdaric`: it does what an event says, in the words of
`tests/native`."""

import json
import os
import threading

EVENTS = 0


class NoReadings(Exception):
    """What a caller sees as `errorType`."""


class UnknownVerb(Exception):
    """An event that says something else."""


def handle(event, context):
    global EVENTS
    EVENTS += 1
    # An event of a function URL: what it says is its body.
    if isinstance(event.get("body"), str):
        event = json.loads(event["body"])
    verb, value = event["do"], event.get("value")
    if verb == "echo":
        return value
    if verb == "count":
        return EVENTS
    if verb == "pid":
        return os.getpid()
    if verb == "env":
        return dict(os.environ)
    if verb == "print":
        print(value)
        return None
    if verb == "fail":
        raise NoReadings("nothing to do")
    if verb == "exit":
        os._exit(3)
    if verb == "hang":
        print("hanging in %d" % os.getpid())
        threading.Event().wait()
    raise UnknownVerb(verb)
