"""Contexts as tests make them."""

from __future__ import annotations

from pathlib import Path

import pytest

from crunchbox import ConfigError
from crunchbox.testing import context


def test_lambdas_names_and_ours_say_the_same() -> None:
    made = context(request_id="r-1", function="crunch", memory_limit=256 * 1_048_576, remaining_ms=50)
    assert made.aws_request_id == made.request_id == "r-1"
    assert made.function_name == "crunch"
    assert made.memory_limit_in_mb == 256
    assert made.get_remaining_time_in_millis() == made.remaining_ms() == 50
    assert made.log_group_name == "/aws/lambda/crunch"


def test_a_key_that_is_not_configured_is_told_with_its_path() -> None:
    with pytest.raises(ConfigError, match=r"no `db.host`; there is `db.port`"):
        context({"db": {"port": 1}}).config["db"]["host"]


def test_a_table_is_a_dict() -> None:
    assert context({"db": {"port": 1}}).config == {"db": {"port": 1}}
    assert context({"db": {}}).config.get("host", "x") == "x"


def test_the_configuration_can_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('unit = "mm"')
    assert context(tmp_path / "config.toml").config["unit"] == "mm"


def test_what_a_caller_sends_as_identity_may_be_anything() -> None:
    assert context(identity='{"cognitoIdentityId": "i"}').identity.cognito_identity_id == "i"
    assert context(identity="[1]").identity.cognito_identity_pool_id is None


def test_the_client_context_has_lambdas_form() -> None:
    client = context(client_context='{"custom": {"a": "b"}, "client": {"app_title": "t"}}').client_context
    assert client is not None
    assert (client.custom, client.client.app_title, client.client.installation_id) == ({"a": "b"}, "t", None)


def test_an_unknown_fact_is_refused() -> None:
    with pytest.raises(TypeError, match="no fact of an invocation: requst_id"):
        context(requst_id="x")
