"""Calls what `crunchbox dev` serves as people do, by AWS's client for Python, and compares each raw answer with AWS's own
model of the API, which comes with the client: a member that the model does not know is a failure.

usage: boto.py ENDPOINT SCENARIO...
"""

import base64
import http.client
import io
import json
import re
import sys
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.eventstream import EventStreamBuffer
from botocore.exceptions import ClientError
from botocore.parsers import create_parser

# What any answer in HTTP may have beside what the model names.
PLAIN = {"content-type", "content-length", "date", "connection", "transfer-encoding"}
# What any answer of AWS's may have. Ours names the release that served an event.
COMMON = {"x-amzn-requestid", "x-amzn-errortype", "x-amzn-trace-id", "x-crunchbox-release"}
# Exceptions that come before any operation: no model has them.
UNMODELLED = {"ValidationException": 400, "UnknownOperationException": 404}

UUID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
EVENT_BYTES_MAX = 6 << 20
TYPES = {"string": str, "boolean": bool, "integer": int, "long": int, "list": list, "map": dict, "structure": dict}


def check(truth, *words):
    if not truth:
        raise AssertionError(" ".join(str(word) for word in words))


def check_value(shape, value, place):
    """A value of JSON is what the model says, all the way down."""
    check(shape.type_name in TYPES, place, "is of a type that is not compared:", shape.type_name)
    is_right = isinstance(value, TYPES[shape.type_name])
    check(is_right and not (isinstance(value, bool) and shape.type_name != "boolean"), place, "is no", shape.type_name)
    if shape.type_name == "structure":
        check_members(shape, value, place)
    elif shape.type_name == "list":
        for item in value:
            check_value(shape.member, item, place + "[]")
    elif shape.type_name == "map":
        for name, item in value.items():
            check_value(shape.value, item, place + "." + name)
    elif shape.type_name == "string":
        check_text(shape, value, place)


def check_text(shape, value, place):
    limits = shape.metadata
    check(not shape.enum or value in shape.enum, place, "is none of", shape.enum, "but", value)
    pattern = limits.get("pattern")
    check(not pattern or re.fullmatch(pattern, value), place, "does not match", pattern, "but is", value)
    check(limits.get("min", 0) <= len(value) <= limits.get("max", len(value)), place, "has the length", len(value))


def check_members(shape, value, place):
    known = {
        member.serialization.get("name", name): member
        for name, member in shape.members.items()
        if "location" not in member.serialization
    }
    for name, item in value.items():
        check(name in known, place, "has the member", name, "and the model only", sorted(known))
        check_value(known[name], item, place + "." + name)
    for name in shape.required_members:
        check(name in value or name not in known, place, "has no", name)


def check_headers(shape, headers, place):
    headers = {name.lower(): value for name, value in headers.items()}
    known = {}
    for member in shape.members.values() if shape else ():
        if member.serialization.get("location") == "header":
            known[member.serialization["name"].lower()] = member
    for name, value in headers.items():
        if name in known:
            check_text(known[name], value, place + " header " + name)
        else:
            check(name in PLAIN | COMMON, place, "has the header", name, "which is not modelled:", value)
    check(UUID.fullmatch(headers.get("x-amzn-requestid", "")), place, "has no request id", headers)


def check_error(operation, status, headers, body):
    name = headers.get("x-amzn-errortype", "")
    check(headers.get("content-type") == "application/json", name, "has the type", headers.get("content-type"))
    document = json.loads(body)
    if name in UNMODELLED:
        check(status == UNMODELLED[name], name, "has the status", status)
        check(list(document) == ["message"] and isinstance(document["message"], str), name, "is", document)
        return check_headers(None, headers, name)
    shapes = [shape for shape in operation.error_shapes if shape.name == name]
    check(shapes, operation.name, "has no exception called", repr(name))
    shape = shapes[0]
    check(status == shape.metadata["error"]["httpStatusCode"], name, "has the status", status)
    check_members(shape, document, name)
    check(document.get("Type") == ("Service" if status >= 500 else "User"), name, "is of", document.get("Type"))
    check(document.get("message") or document.get("Message"), name, "says nothing:", document)
    check_headers(shape, headers, name)
    raw = {"status_code": status, "headers": headers, "body": body}
    parser = create_parser("rest-json")
    parsed = parser.parse(raw, shape)
    for member, value in document.items():
        check(parsed[member] == value, name, "is read as", parsed)
    said = parser.parse(raw, operation.output_shape)["Error"]
    check(said["Code"] == name and said["Message"], name, "is read as", said)


def check_answer(operation_model, response_dict, **_):
    """Called by the client with each answer before it makes anything of it."""
    status, headers = response_dict["status_code"], response_dict["headers"]
    if status >= 300:
        return check_error(operation_model, status, headers, response_dict["body"])
    shape, name = operation_model.output_shape, operation_model.name
    check_headers(shape, headers, name)
    check(status in (200, 202, 204), name, "has the status", status)
    served = {"x-amz-executed-version", "content-type"} - set(header.lower() for header in headers)
    check(status != 200 or not served, name, "lacks", served)


def client_of(endpoint):
    client = boto3.client(
        "lambda",
        endpoint_url=endpoint,
        region_name="eu-west-1",
        aws_access_key_id="test",
        aws_secret_access_key="secret-of-tests",
        config=Config(retries={"total_max_attempts": 1}, proxies={}, connect_timeout=10, read_timeout=60),
    )
    client.meta.events.register("before-parse.lambda.*", check_answer)
    return client


def payload_of(answer):
    return json.loads(answer["Payload"].read())


def log_of(text):
    log = base64.b64decode(text, validate=True)
    check(len(log) <= 4096, "the log has", len(log), "bytes")
    return log.decode()


def refused(call, code, status, **arguments):
    """The refusal of a call; a class of its own for each that is modelled."""
    try:
        call(**arguments)
    except ClientError as error:
        said = error.response
        check(said["Error"]["Code"] == code, code, "is", said)
        check(said["ResponseMetadata"]["HTTPStatusCode"] == status, code, "is", said)
        check(code in UNMODELLED or type(error).__name__ == code, code, "is raised as", type(error))
        check(said["Error"]["Message"], code, "says nothing")
        return said
    raise AssertionError("no %s for %r" % (code, arguments))


def invoke(client, _):
    event = b'{"n": 123456789012345678901234567890, "u": "\xc3\xa9"}'
    for payload in (event, io.BytesIO(event), event.decode()):
        answer = client.invoke(FunctionName="echo", InvocationType="RequestResponse", Payload=payload)
        check(answer["StatusCode"] == 200 and answer["ExecutedVersion"] == "1", answer)
        check(answer["Payload"].read() == event, "the event came back as something else")
        check("FunctionError" not in answer and "LogResult" not in answer, answer)
    check(client.invoke(FunctionName="echo")["Payload"].read() == b"{}", "no payload is no empty object")
    for name in ("echo:1", "arn:aws:lambda:eu-west-1:123456789012:function:echo", "123456789012:function:echo:$LATEST"):
        check(payload_of(client.invoke(FunctionName=name, Payload=b"[1]")) == [1], name)
    for qualifier in ("1", "$LATEST"):
        answer = client.invoke(FunctionName="echo", Qualifier=qualifier, Payload=b"[1]")
        check(payload_of(answer) == [1] and answer["ExecutedVersion"] == "1", qualifier, answer)
    context = {"client": {"app_title": "tests"}, "custom": {"a": "é"}, "env": {}}
    answer = client.invoke(
        FunctionName="facts",
        LogType="Tail",
        ClientContext=base64.b64encode(json.dumps(context).encode()).decode(),
        TenantId="blue",
        Payload=json.dumps({"config": []}),
    )
    facts = payload_of(answer)
    check(json.loads(facts["clientContext"]) == context and facts["tenantId"] == "blue", facts)
    request_id = answer["ResponseMetadata"]["RequestId"]
    check(facts["requestId"] == request_id, facts, request_id)
    log = log_of(answer["LogResult"])
    for words in ("START RequestId: %s Version: 1", "END RequestId: %s\n", "REPORT RequestId: %s\tDuration: "):
        check(words % request_id in log, words, "is not in", log)
    check("answering" in log, "the guest's line is not in", log)
    answer = client.invoke(FunctionName="echo", LogType="None", Payload=b"1")
    check("LogResult" not in answer, answer)


def queued(client, _):
    answer = client.invoke(FunctionName="echo", InvocationType="Event", Payload=b"1")
    check(answer["StatusCode"] == 202 and answer["Payload"].read() == b"", answer)
    check("ExecutedVersion" not in answer and "FunctionError" not in answer, answer)
    answer = client.invoke(FunctionName="echo", InvocationType="DryRun", Payload=b"1")
    check(answer["StatusCode"] == 204 and answer["Payload"].read() == b"", answer)


def failure(client, _):
    for event, kind in (("fail", "NoReadings"), ("panic", "Crunchbox.GuestPanic"), ("trap", "Crunchbox.Trap")):
        answer = client.invoke(FunctionName="misbehave", LogType="Tail", Payload=json.dumps(event))
        check(answer["StatusCode"] == 200 and answer["FunctionError"] == "Unhandled", answer)
        document = payload_of(answer)
        check(document["errorType"] == kind and isinstance(document["errorMessage"], str), document)
        check(isinstance(document.get("stackTrace", []), list), document)
        check("END RequestId" in log_of(answer["LogResult"]), "no end of the log")
    answer = client.invoke(FunctionName="misbehave", Payload=b'"forge"')
    check(answer["StatusCode"] == 200 and "FunctionError" not in answer, answer)


def stream(client, endpoint):
    long = json.dumps("x" * 200_000)
    for event in (b"[1]", long.encode()):
        answer = client.invoke_with_response_stream(FunctionName="echo", LogType="Tail", Payload=event)
        check(answer["StatusCode"] == 200 and answer["ExecutedVersion"] == "1", answer)
        check(answer["ResponseStreamContentType"] == "application/vnd.amazon.eventstream", answer)
        *chunks, last = list(answer["EventStream"])
        check(b"".join(chunk["PayloadChunk"]["Payload"] for chunk in chunks) == event, "the event came back otherwise")
        check(list(last) == ["InvokeComplete"], last)
        check("ErrorCode" not in last["InvokeComplete"], last)
        check("START RequestId" in log_of(last["InvokeComplete"]["LogResult"]), last)
    answer = client.invoke_with_response_stream(FunctionName="misbehave", Payload=b'"fail"')
    (last,) = answer["EventStream"]
    check(last["InvokeComplete"]["ErrorCode"] == "NoReadings", last)
    check("nothing to do" in last["InvokeComplete"]["ErrorDetails"], last)
    check("LogResult" not in last["InvokeComplete"], last)
    model = client.meta.service_model.operation_model("InvokeWithResponseStream")
    for function, event in (("echo", long), ("misbehave", '"panic"')):
        check_frames(model, endpoint, function, event)
    call = client.invoke_with_response_stream
    refused(call, "ResourceNotFoundException", 404, FunctionName="nobody", Payload=b"1")
    refused(call, "InvalidRequestContentException", 400, FunctionName="echo", Payload=b"{")


def check_frames(model, endpoint, function, event):
    """Reads an answer without the client, which passes over members that it does not know."""
    connection = http.client.HTTPConnection(urlsplit(endpoint).netloc, timeout=60)
    path = "/2021-11-15/functions/%s/response-streaming-invocations" % function
    connection.request("POST", path, event.encode(), {"X-Amz-Log-Type": "Tail"})
    answer = connection.getresponse()
    check(answer.status == 200, function, "has the status", answer.status)
    check_headers(model.output_shape, dict(answer.getheaders()), function)
    # It compares the checksums.
    frames = EventStreamBuffer()
    frames.add_data(answer.read())
    frames = list(frames)
    events = model.output_shape.members["EventStream"].members
    for frame in frames:
        headers = dict(frame.headers)
        check(headers.pop(":message-type") == "event", "a frame has", frame.headers)
        kind = headers.pop(":event-type")
        check(kind in events, "a frame is called", kind)
        content_type = headers.pop(":content-type")
        check(not headers, "a frame has more headers:", headers)
        if kind == "PayloadChunk":
            check(content_type == "application/octet-stream" and frame.payload, content_type, len(frame.payload))
        else:
            check(content_type == "application/json", kind, "has the type", content_type)
            check_value(events[kind], json.loads(frame.payload), kind)
    kinds = [frame.headers[":event-type"] for frame in frames]
    check(kinds.index("InvokeComplete") == len(kinds) - 1, "frames come as", kinds)


def refusal(client, _):
    no_object = base64.b64encode(b"[]").decode()
    for code, status, arguments in (
        ("ResourceNotFoundException", 404, {"FunctionName": "nobody"}),
        ("ResourceNotFoundException", 404, {"Qualifier": "99"}),
        ("ResourceNotFoundException", 404, {"Qualifier": "staging"}),
        ("ResourceNotFoundException", 404, {"FunctionName": "nobody", "InvocationType": "Event"}),
        ("ResourceNotFoundException", 404, {"FunctionName": "nobody", "InvocationType": "DryRun"}),
        ("InvalidRequestContentException", 400, {"Payload": b"{"}),
        ("InvalidRequestContentException", 400, {"Payload": b"1 2", "InvocationType": "Event"}),
        ("InvalidRequestContentException", 400, {"ClientContext": "no base64"}),
        ("InvalidRequestContentException", 400, {"ClientContext": no_object}),
        ("InvalidParameterValueException", 400, {"FunctionName": "echo:1", "Qualifier": "$LATEST"}),
        ("ValidationException", 400, {"InvocationType": "Sometimes"}),
        ("ValidationException", 400, {"LogType": "Head"}),
        ("ValidationException", 400, {"FunctionName": "e*cho"}),
        ("ValidationException", 400, {"Qualifier": "a b"}),
    ):
        refused(client.invoke, code, status, **{"FunctionName": "echo", **arguments})
    check(payload_of(client.invoke(FunctionName="echo", Payload=b"2")) == 2, "it serves no more")


def limit(client, _):
    most = json.dumps("x" * (EVENT_BYTES_MAX - 2)).encode()
    check(client.invoke(FunctionName="echo", Payload=most)["Payload"].read() == most, "the longest event is lost")
    queued = json.dumps("x" * ((1 << 20) - 2)).encode()
    check(client.invoke(FunctionName="echo", InvocationType="Event", Payload=queued)["StatusCode"] == 202, "queue")
    for kind, payload in (("RequestResponse", most + b" "), ("RequestResponse", most * 4), ("Event", queued + b" ")):
        code = "RequestTooLargeException"
        refused(client.invoke, code, 413, FunctionName="echo", InvocationType=kind, Payload=payload)
        check(payload_of(client.invoke(FunctionName="echo", Payload=b"2")) == 2, "it serves no more")


def throttled(client, _):
    """There is no place left for `gated`."""
    said = refused(client.invoke, "TooManyRequestsException", 429, FunctionName="gated", Payload=b"[]")
    check(said["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded", said)
    check(said["Type"] == "User" and said["retryAfterSeconds"].isdigit(), said)
    call = client.invoke_with_response_stream
    refused(call, "TooManyRequestsException", 429, FunctionName="gated", Payload=b"[]")
    # Who does not wait gets a place in the queue.
    answer = client.invoke(FunctionName="gated", InvocationType="Event", Payload=b"[]")
    check(answer["StatusCode"] == 202, answer)


SCENARIOS = {
    scenario.__name__: scenario for scenario in (invoke, queued, failure, stream, refusal, limit, throttled)
}


def main(endpoint, names):
    client = client_of(endpoint)
    for name in names:
        try:
            SCENARIOS[name](client, endpoint)
        except Exception as error:
            sys.exit("%s: %s: %s" % (name, type(error).__name__, error))
        print("ok", name, flush=True)


main(sys.argv[1], sys.argv[2:])
