"""Validates what `crunchbox package --template` wrote: validate.py FOLDER...

template.yaml is read by AWS's own translator for SAM, and cfn-lint reads it before and after. main.tf is parsed as HCL, and
all that it refers to has to be there. Policies, workflow and image are read as what they are. Prints a line for each
finding and for each sound folder; exits with 1 if anything was found. It asks no network.
"""

import json
import logging
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import hcl2
import yaml
from cfnlint.decode import cfn_yaml
from samtranslator.parser.parser import Parser
from samtranslator.public.exceptions import InvalidDocumentException
from samtranslator.translator.translator import Translator

REGION = "eu-west-1"

# What the function's role needs for a source that Lambda reads, by the service in the source's name.
POLLED = {"sqs": "sqs:ReceiveMessage", "dynamodb": "dynamodb:GetRecords", "kinesis": "kinesis:GetRecords"}

# Actions that AWS allows on everything or not at all.
UNBOUNDED = {"ec2"}


def main(folders):
    """Validates each folder; the number of findings."""
    count = 0
    for folder in folders:
        findings = list(validate(Path(folder)))
        count += len(findings)
        for finding in findings:
            print(f"{folder}: {finding}")
        if not findings:
            print(f"{folder}: ok")
    return count


def validate(folder):
    """All that is wrong with one folder."""
    files = [
        "README.md",
        "template.yaml",
        "main.tf",
        "Dockerfile",
        ".github/workflows/crunchbox.yml",
        "policies/host.json",
        "policies/releaser.json",
        "policies/promoter.json",
        "policies/bucket-policy.json",
        "policies/github-trust.json",
    ]
    missing = [name for name in files if not (folder / name).is_file()]
    if missing:
        yield f"no {', '.join(missing)}"
        return
    yield from sam(folder / "template.yaml")
    yield from terraform(folder / "main.tf")
    for path in sorted((folder / "policies").glob("*.json")):
        yield from policy(path)
    yield from workflow(folder / ".github/workflows/crunchbox.yml")
    yield from image(folder / "Dockerfile")


def lint(path, name):
    """What cfn-lint says of a template, warnings included."""
    program = Path(sys.executable).with_name("cfn-lint")
    command = [str(program), "--format", "parseable", "--regions", REGION, "--", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = (done.stdout + done.stderr).splitlines()
    for line in lines:
        yield f"{name}: {line.replace(str(path), '').strip(':')}"
    if done.returncode != 0 and not lines:
        yield f"{name}: cfn-lint ended with {done.returncode}"


def sam(path):
    """What is wrong with a template for SAM, and with what SAM makes of it."""
    findings = list(lint(path, path.name))
    if findings:
        yield from findings
        return
    # Its own kinds of mappings and lists remember lines; the translator wants plain ones.
    template = json.loads(json.dumps(cfn_yaml.load(str(path))))
    function = template["Resources"]["Host"]["Properties"]
    if function["CodeUri"] != "./bootstrap.zip":
        yield f"{path.name}: CodeUri is {function['CodeUri']}"
    # `sam deploy` uploads the file and puts its address there.
    function["CodeUri"] = "s3://bucket/bootstrap.zip"
    parameters = {name: sample(value) for name, value in template["Parameters"].items()}
    try:
        translator = Translator({}, Parser())
        made = translator.translate(template, parameters)
    except InvalidDocumentException as error:
        for cause in error.causes:
            yield f"{path.name}: {cause.message}"
        return
    with tempfile.TemporaryDirectory() as folder:
        transformed = Path(folder) / "transformed.json"
        transformed.write_text(json.dumps(made, indent=1))
        yield from lint(transformed, f"{path.name}, transformed")
    yield from permissions(made, path.name)


def sample(parameter):
    """A value for a parameter that has none."""
    return parameter.get("Default", "arn:aws:x:eu-west-1:123456789012:y")


def permissions(made, name):
    """Who may call the function, and what its role may do, against what is there that needs it."""
    resources = made["Resources"]
    kinds = {}
    for resource in resources.values():
        kinds.setdefault(resource["Type"], []).append(resource.get("Properties", {}))
    permitted = {one["Principal"] for one in kinds.get("AWS::Lambda::Permission", [])}
    needed = {
        "AWS::SNS::Subscription": "sns.amazonaws.com",
        "AWS::Events::Rule": "events.amazonaws.com",
        "AWS::ApiGatewayV2::Api": "apigateway.amazonaws.com",
    }
    wanted = {principal for kind, principal in needed.items() if kind in kinds}
    if any("NotificationConfiguration" in one for one in kinds.get("AWS::S3::Bucket", [])):
        wanted.add("s3.amazonaws.com")
    if permitted != wanted:
        yield f"{name}: {sorted(permitted)} may call the function, and {sorted(wanted)} should"
    role = resources["HostRole"]["Properties"]
    if "ManagedPolicyArns" in role:
        yield f"{name}: the role has managed policies, which allow more than it needs"
    policies = json.dumps(role["Policies"])
    for mapping in kinds.get("AWS::Lambda::EventSourceMapping", []):
        source = json.dumps(mapping["EventSourceArn"])
        service = "dynamodb" if "Table" in source else "kinesis" if "Stream" in source else "sqs"
        if POLLED[service] not in policies:
            yield f"{name}: the role lacks {POLLED[service]}"
    function = resources["Host"]["Properties"]
    if "VpcConfig" in function and "ec2:CreateNetworkInterface" not in policies:
        yield f"{name}: the role lacks ec2:CreateNetworkInterface"
    if "FailedEvents" in resources and "sqs:SendMessage" not in policies:
        yield f"{name}: the role lacks sqs:SendMessage"
    asynchronous = wanted & {"sns.amazonaws.com", "s3.amazonaws.com", "events.amazonaws.com"}
    if asynchronous and "AWS::Lambda::EventInvokeConfig" not in kinds:
        yield f"{name}: events that fail are lost"


def terraform(path):
    """What is wrong with a configuration for Terraform, as far as its text tells."""
    text = path.read_text()
    try:
        parsed = hcl2.loads(text)
    except Exception as error:  # the parser's own kinds are many, and private
        yield f"{path.name}: {str(error).splitlines()[0]}"
        return
    declared = {"path.module", "each.value", "environment.value"}
    for block, head in (("variable", "var."), ("output", "output.")):
        names = [unquoted(name) for one in parsed.get(block, []) for name in one if not name.startswith("__")]
        yield from (f"{path.name}: {head}{name} twice" for name in twice(names))
        declared.update(head + name for name in names)
    for one in parsed.get("locals", []):
        declared.update("local." + unquoted(name) for name in one if not name.startswith("__"))
    for block, head in (("resource", ""), ("data", "data.")):
        names = []
        for one in parsed.get(block, []):
            for kind, instances in one.items():
                if isinstance(instances, dict):
                    names += [f"{head}{unquoted(kind)}.{unquoted(name)}" for name in instances if not name.startswith("__")]
        yield from (f"{path.name}: {name} twice" for name in twice(names))
        declared.update(names)
    for reference in sorted(references(text)):
        if reference not in declared:
            yield f"{path.name}: {reference} is nowhere"
    used = references(text)
    for name in sorted(declared):
        if name.startswith(("var.", "local.", "data.")) and name not in used:
            yield f"{path.name}: {name} is not used"


def references(text):
    """Names that expressions refer to: outside of comments, and of strings but for their templates."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    code = []
    for line in lines:
        templates = re.findall(r"(?<!\$)\$\{([^}]*)\}", line)
        code.append(re.sub(r'"(?:[^"\\]|\\.)*"', '""', line) + " " + " ".join(templates))
    pattern = r"(?<![\w.\"])((?:var|local)\.\w+|data\.aws_\w+\.\w+|aws_\w+\.\w+|path\.module|each\.value)"
    return set(re.findall(pattern, "\n".join(code)))


def unquoted(name):
    """A label as it is named elsewhere."""
    return name.strip('"')


def twice(names):
    """Names that are there more than once."""
    return sorted({name for name in names if names.count(name) > 1})


def policy(path):
    """What is wrong with a policy of IAM or of a bucket."""
    name = f"policies/{path.name}"
    document = json.loads(path.read_text())
    if set(document) != {"Version", "Statement"} or document["Version"] != "2012-10-17":
        yield f"{name}: expected Version 2012-10-17 and Statement"
        return
    known = {"Sid", "Effect", "Principal", "Action", "Resource", "Condition"}
    for statement in document["Statement"]:
        sid = statement.get("Sid", "the statement")
        if set(statement) - known:
            yield f"{name}: {sid} has {sorted(set(statement) - known)}"
        if not re.fullmatch(r"[A-Za-z0-9]+", statement.get("Sid", "x")):
            yield f"{name}: {sid} is no name of a statement"
        actions = statement["Action"]
        actions = [actions] if isinstance(actions, str) else actions
        resources = statement.get("Resource", [])
        for action in actions:
            if not re.fullmatch(r"[a-z0-9-]+:[A-Za-z]+", action):
                yield f"{name}: {sid} allows {action}"
        services = {action.split(":")[0] for action in actions}
        for resource in resources:
            bounded = re.fullmatch(r"arn:aws[a-z-]*:[a-z0-9-]+:[^:]*:[^:]*:.+", resource, re.DOTALL)
            if not bounded and not (resource == "*" and services <= UNBOUNDED):
                yield f"{name}: {sid} is about {resource}"


def workflow(path):
    """What is wrong with a workflow for GitHub Actions."""
    name = path.name
    document = yaml.safe_load(path.read_text())
    # YAML 1.1 reads the key `on` as true.
    if not {"name", True, "permissions", "jobs"} <= set(document):
        yield f"{name}: expected name, on, permissions, jobs"
        return
    jobs = document["jobs"]
    for job, body in jobs.items():
        for needed in body.get("needs", []):
            if needed not in jobs:
                yield f"{name}: {job} needs {needed}, which is nowhere"
        for step in body["steps"]:
            if ("uses" in step) == ("run" in step):
                yield f"{name}: a step of {job} neither uses nor runs, or does both"
            if "uses" in step and not re.fullmatch(r"[\w.-]+/[\w./-]+@[\w.-]+", step["uses"]):
                yield f"{name}: {job} uses {step['uses']}"
            # What others write goes into variables, not into the text of a script.
            if "${{" in step.get("run", ""):
                yield f"{name}: a script of {job} has an expression in it"
            if "run" in step:
                yield from shell(step["run"], f"{name}: {job}")
        signs = "CRUNCHBOX_KEY" in json.dumps(body)
        if signs and ("environment" not in body or body.get("permissions", {}).get("id-token") != "write"):
            yield f"{name}: {job} signs without an environment or a token"


def shell(text, name):
    """Whether a shell can read a script."""
    done = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        yield f"{name}: {done.stderr.strip()}"


def image(path):
    """What is wrong with an image's recipe."""
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    for line in lines:
        if line.split(" ")[0] not in {"FROM", "COPY", "LABEL", "CMD"}:
            yield f"{path.name}: {line}"
    command = [line for line in lines if line.startswith("CMD ")]
    if len(command) != 1 or not re.fullmatch(r"[a-z0-9-]+@live", json.loads(command[0][4:])[0]):
        yield f"{path.name}: expected one CMD with the channel"


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    # The translator misses its metrics.
    logging.disable(logging.WARNING)
    # It asks for the region that it is in.
    os.environ["AWS_DEFAULT_REGION"] = REGION
    sys.exit(1 if main(sys.argv[1:]) else 0)
