//! A workflow for GitHub Actions: tests each change, releases what is merged, promotes it to `staging` and, once somebody has
//! agreed, to `live`.

use super::text::{fill, github};
use super::{Facts, StoreSaid};

/// The whole workflow.
pub(super) fn workflow(facts: &Facts) -> String {
    let region = facts.store.as_ref().and_then(|s3| s3.region.as_deref());
    let region = region.map_or_else(|| "${{ vars.AWS_REGION }}".to_owned(), github);
    let promote = |channel: &str, needs: &str| {
        fill(
            PROMOTE,
            &[
                ("name", facts.name.as_str()),
                ("region", &region),
                ("tool", TOOL),
                ("channel", channel),
                ("needs", needs),
            ],
        )
    };
    fill(
        WORKFLOW,
        &[
            ("name", facts.name.as_str()),
            ("region", &region),
            ("store", &store(facts)),
            ("tool", TOOL),
            ("staging", &promote("staging", "[release]")),
            ("live", &promote("live", "[release, staging]")),
        ],
    )
}

/// Where the store is, if neither crunchbox.toml nor policy.toml says it.
fn store(facts: &Facts) -> String {
    match (&facts.store, facts.store_said) {
        (None, _) => "CRUNCHBOX_STORE: ${{ vars.CRUNCHBOX_STORE }}\n".to_owned(),
        (Some(s3), StoreSaid::Elsewhere) => format!("CRUNCHBOX_STORE: {}\n", github(&s3.url())),
        (Some(_), StoreSaid::InPolicy | StoreSaid::InManifest) => String::new(),
    }
}

const WORKFLOW: &str = r##"# Written by `crunchbox package --template`; yours from here on. It belongs into .github/workflows at the repository's top.
#
# Before it runs:
# - Environments `release`, `staging` and `live`; `live` with required reviewers. Each has the secret CRUNCHBOX_KEY and the
#   variable ROLE: a key with the roles release and artifact, and the role of policies/releaser.json, for `release`; a key
#   with the role channel, and that of policies/promoter.json, for the others. policies/github-trust.json lets jobs have it.
# - Variables CRUNCHBOX_SOURCE and CRUNCHBOX_REVISION: the address of Crunchbox's repository, and a whole commit id.
# - policy.toml checked in, with the public halves of the keys.
# A tag can be moved to other code: put the commit id in place of each `@v…` below, as your rules on actions have it.
name: "<<name>>"

on:
  push:
    branches: [main]
  pull_request:
  workflow_dispatch:
    inputs:
      allow-grants:
        description: Let the release reach more than the one before.
        type: boolean
        default: false

permissions:
  contents: read

# Two at once would promote in whatever order they end in.
concurrency:
  group: ${{ github.workflow }}-${{ github.ref }}
  cancel-in-progress: false

env:
  # The folder of crunchbox.toml in the repository.
  PROJECT: .
  CRUNCHBOX_SOURCE: ${{ vars.CRUNCHBOX_SOURCE }}
  CRUNCHBOX_REVISION: ${{ vars.CRUNCHBOX_REVISION }}
  <<store>>

jobs:
  test:
    runs-on: ubuntu-24.04
    timeout-minutes: 60
    steps:
      <<tool>>
      - name: Test
        run: crunchbox test --setup "$PROJECT"

  release:
    needs: [test]
    if: github.event_name != 'pull_request' && github.ref == 'refs/heads/main'
    runs-on: ubuntu-24.04
    timeout-minutes: 60
    environment: release
    permissions:
      contents: read
      id-token: write
    outputs:
      release: ${{ steps.release.outputs.release }}
    steps:
      <<tool>>
      - uses: aws-actions/configure-aws-credentials@v5
        with:
          role-to-assume: ${{ vars.ROLE }}
          aws-region: <<region>>
      - name: Release
        id: release
        env:
          CRUNCHBOX_KEY: ${{ secrets.CRUNCHBOX_KEY }}
        run: |
          release=$(crunchbox release --setup --by "$GITHUB_ACTOR" "$PROJECT")
          echo "release=$release" >>"$GITHUB_OUTPUT"

  <<staging>>

  <<live>>
"##;

/// Crunchbox itself, from its sources; ten minutes the first time, then from the cache.
const TOOL: &str = r#"- uses: actions/checkout@v5
  with:
    persist-credentials: false
- uses: actions/cache@v4
  with:
    path: ~/crunchbox
    key: crunchbox-${{ runner.os }}-${{ runner.arch }}-${{ vars.CRUNCHBOX_REVISION }}
- name: Crunchbox
  run: |
    : "${CRUNCHBOX_SOURCE:?a variable of the repository names that of Crunchbox}" "${CRUNCHBOX_REVISION:?and a commit there}"
    if [ ! -x ~/crunchbox/bin/crunchbox ]; then
      cargo install --locked --git "$CRUNCHBOX_SOURCE" --rev "$CRUNCHBOX_REVISION" --root ~/crunchbox crunchbox
    fi
    echo ~/crunchbox/bin >>"$GITHUB_PATH"
"#;

/// The project's folder is where `promote` finds store and policy.
const PROMOTE: &str = r#"<<channel>>:
  needs: <<needs>>
  runs-on: ubuntu-24.04
  timeout-minutes: 60
  environment: <<channel>>
  permissions:
    contents: read
    id-token: write
  steps:
    <<tool>>
    - uses: aws-actions/configure-aws-credentials@v5
      with:
        role-to-assume: ${{ vars.ROLE }}
        aws-region: <<region>>
    - name: Promote
      env:
        CRUNCHBOX_KEY: ${{ secrets.CRUNCHBOX_KEY }}
        RELEASE: ${{ needs.release.outputs.release }}
        ALLOW: ${{ inputs.allow-grants && '--allow-grants' || '' }}
      run: |
        cd "$PROJECT"
        crunchbox promote "<<name>>@$RELEASE" --to <<channel>> --by "$GITHUB_ACTOR" --message "$GITHUB_SHA" $ALLOW
"#;
