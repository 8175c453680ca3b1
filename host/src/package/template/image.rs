//! The host as a container image, and the page that says how all of this is used.

use super::text::fill;
use super::{Facts, Trigger};

/// The image's recipe.
pub(super) fn dockerfile(facts: &Facts) -> String {
    fill(DOCKERFILE, &[("name", facts.name.as_str())])
}

/// What to do, in which order.
pub(super) fn readme(facts: &Facts) -> String {
    let notes = facts.notes();
    let notes = notes.iter().map(|note| format!("- {note}\n"));
    let parameters = parameters(facts);
    fill(
        README,
        &[
            ("name", facts.name.as_str()),
            ("parameters", &parameters),
            ("notes", &notes.collect::<String>()),
        ],
    )
}

/// What has to be said when it is deployed.
fn parameters(facts: &Facts) -> String {
    let mut names = Vec::new();
    if facts.store.is_none() {
        names.push("StoreBucket, StorePrefix");
    }
    if !facts.reach.signed.is_empty() {
        names.push("Sign…Resources");
    }
    for trigger in &facts.triggers {
        match trigger {
            Trigger::S3 => names.push("EventBucketName"),
            Trigger::Dynamodb => names.push("TableStreamArn"),
            Trigger::Kinesis => names.push("DataStreamArn"),
            Trigger::Sns | Trigger::Sqs | Trigger::Schedule | Trigger::Url | Trigger::Api => {}
        }
    }
    if names.is_empty() {
        return String::new();
    }
    format!("# It asks for {}.\n", names.join(", "))
}

/// Sources: <https://docs.aws.amazon.com/lambda/latest/dg/snapstart-runtime-hooks-custom.html>,
/// <https://docs.aws.amazon.com/lambda/latest/dg/cmr-images-from-scratch.html>.
const DOCKERFILE: &str = r#"# The host as an image, for what a zip cannot be: a customer-managed runtime, or a function that SnapStart starts. Code
# signing does not cover images: sign them in their registry.
#
#   crunchbox package --out deploy/bootstrap.zip
#   cd deploy && unzip -o bootstrap.zip bootstrap && unzip -o bootstrap.zip -x bootstrap -d package
#   docker build --provenance=false --tag <<name>> .
#
# Give FROM a digest, so that the same sources make the same image.
FROM public.ecr.aws/lambda/provided:al2023

# Lambda's Runtime API takes one program: this one.
COPY --chmod=0755 bootstrap ${LAMBDA_RUNTIME_DIR}/bootstrap

# In a customer-managed runtime these come with each function's own zip instead: leave the line out, and the image serves all
# functions (aws lambda-core create-runtime, create-runtime-version --image-uri …, create-runtime-alias; the function has
# Runtime `custom` and a RuntimeConfig).
COPY package/ ${LAMBDA_TASK_ROOT}/

# SnapStart starts environments from a snapshot of one that has started. It takes this label, or hooks of the Runtime API,
# else no version is published. This host needs no hooks: nothing that has to be of one environment only is made at its
# start, guests' random numbers are the system's, and it looks for a new release before the first event after a rest.
LABEL com.amazonaws.lambda.feature.snapstart="Allow"

# The channel that is followed; a function's ImageConfig can name another.
CMD ["<<name>>@live"]
"#;

const README: &str = r#"# Deploying <<name>>

Written by `crunchbox package --template`; the files are yours from here on. In the project's folder:

```sh
crunchbox deploy -m "the first"                        # a release to start with; makes key and policy.toml, if there are none
crunchbox package --out deploy/bootstrap.zip           # the host and policy.toml; once for each version of these
sam deploy --guided --template-file deploy/template.yaml --capabilities CAPABILITY_IAM
<<parameters>>
terraform -chdir=deploy init && terraform -chdir=deploy apply    # or this, instead of sam
```

From then on `crunchbox deploy` changes what runs, `crunchbox rollback` takes it back, and neither touches AWS but for the
store. `staging` is another stack or workspace: give it the channel `staging`.

| file | |
| --- | --- |
| `template.yaml`, `main.tf` | the same, for AWS SAM and for Terraform or OpenTofu: function, role, log, alarms, triggers |
| `policies/` | the same permissions for roles made by hand; `releaser`, `promoter`, `caller` for others than the host. What is in capitals is to be filled in, `live` is the channel |
| `policies/bucket-policy.json` | what the store's bucket refuses to everybody: `aws s3api put-bucket-policy`. Whoever moves channels has to be named in it |
| `.github/workflows/crunchbox.yml` | test, release, staging, live: copy it to the top of the repository |
| `Dockerfile` | the host as an image, for customer-managed runtimes and SnapStart; read what it says of that |

<<notes>>
"#;
