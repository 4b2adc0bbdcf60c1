"""Facts about this API that schemathesis needs and that a schema cannot express."""

from datetime import datetime, timezone

import schemathesis
from hypothesis import strategies as st

# The environment's dial plan determines which texts are phone numbers, so a schema cannot express it. This form is always valid.
schemathesis.openapi.format("phone-number", st.from_regex(r"\A\+[1-9][0-9]{0,14}\Z"))

# The daemon decides which addresses webhooks may send to, so a schema cannot express it. No name below `example` has an address.
schemathesis.openapi.format("https-url", st.from_regex(r"\Ahttps://[a-z]{1,20}\.example/[a-z0-9]{0,20}\Z"))

# Calls are accepted from 2020 on and not from the future. A schema has no clock, so it cannot express that.
schemathesis.openapi.format(
    "date-time",
    st.datetimes(datetime(2020, 1, 1), datetime(2026, 1, 1), timezones=st.just(timezone.utc)).map(datetime.isoformat),
)


@schemathesis.hook
def filter_case(context, case):
    query = case.query or {}
    # The runner waits ten seconds for a response.
    wait = str(query.get("wait", ""))
    if wait.isdecimal() and 5 < int(wait) <= 60:
        return False
    # A parameter without a value counts as missing, so an empty one is accepted for any format.
    return "" not in query.values()


@schemathesis.serializer("application/x-ndjson")
def lines(context, value):
    return value if isinstance(value, (bytes, str)) else str(value)


# Rejections of requests that match their schema, for reasons that a schema cannot express. A name that ends in a dot stands
# for all fields below it.
BEYOND_SCHEMAS = {
    ("GET", "/api/v1/callback-agents/stats"): {"end_date"},  # must not be before the other date
    ("GET", "/api/v1/changes"): {"cursor"},  # must be one that an earlier answer had
    # A report with an id may have only the id and the status. With any of these fields it needs all of them. A context has
    # at most 4,096 bytes.
    ("POST", "/api/v1/calls"): {"agent_id", "from", "to", "started_at", "context"},
    # The parts of a dial plan must fit together, and the metadata must have the region.
    # The two look-backs must be equal.
    ("POST", "/api/v1/environments"): {"country_code", "region", "lookback_seconds"},
    ("PUT", "/api/v1/environments/{environment}"): {"country_code", "region", "lookback_seconds"},
    # Names must fit the rest of the document and the environment. Wrong types and missing fields are named "body".
    # A new environment needs its settings: only an operator token creates one.
    ("PUT", "/api/v1/configuration"): {"environment", "environment.", "numbers.", "agents."},
    # One of the two fields is required.
    ("PUT", "/api/v1/phone-numbers/{number}"): {"default_agent_id"},
    # A declared configuration replaces the changes, and must fit the environment. One of the two is required.
    ("POST", "/api/v1/route/what-if"): {"changes", "configuration", "configuration."},
    # The environment depends on the role and on the existing environments, and a time must be in the future.
    ("POST", "/api/v1/tokens"): {"environment_id", "expires_at"},
    ("POST", "/api/v1/tokens/{token}/rotate"): {"expires_at"},
    # The address must be one that the daemon may send to.
    ("POST", "/api/v1/webhooks"): {"url"},
    ("PUT", "/api/v1/webhooks/{webhook}"): {"url"},
    # An agent that lacks something cannot be published.
    ("POST", "/api/v1/agents/{agent}/publish"): {"direction", "phone_number_ids"},
}


@schemathesis.check
def what_is_as_described_is_read(ctx, response, case):
    """The check `positive_data_acceptance` accepts 422 (see schemathesis.toml). This check verifies the reason of the 422."""
    meta = case.meta
    if meta is None or not meta.generation.mode.is_positive or response.status_code != 422:
        return
    answer = response.json()
    if answer["code"] != "VALIDATION_ERROR":
        return
    allowed = BEYOND_SCHEMAS.get((case.method.upper(), case.path), set())
    is_below = lambda field: any(name.endswith(".") and field.startswith(name) for name in allowed)
    unexpected = {field for field in answer["errors"] if field not in allowed and not is_below(field)}
    assert not unexpected, f"a request that is as described is not read: {answer['errors']}"
