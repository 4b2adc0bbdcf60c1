"""What schemathesis has to be told about this API, because no schema can say it."""

from datetime import datetime, timezone

import schemathesis
from hypothesis import strategies as st

# A phone number is read in whatever form the environment's dial plan knows, so a schema cannot tell which texts are none. This one
# always is.
schemathesis.openapi.format("phone-number", st.from_regex(r"\A\+[1-9][0-9]{0,14}\Z"))

# Calls are taken from 2020 on and not from the future. Other moments are refused, and a schema knows no clock.
schemathesis.openapi.format(
    "date-time",
    st.datetimes(datetime(2020, 1, 1), datetime(2026, 1, 1), timezones=st.just(timezone.utc)).map(datetime.isoformat),
)


@schemathesis.hook
def filter_case(context, case):
    # A parameter without a value counts as missing, so an empty one is taken whatever its format.
    return "" not in (case.query or {}).values()


@schemathesis.serializer("application/x-ndjson")
def lines(context, value):
    return value if isinstance(value, (bytes, str)) else str(value)


# Refusals of a form that is as described, since no schema can say what they are about.
BEYOND_SCHEMAS = {
    ("GET", "/api/v1/callback-agents/stats"): {"end_date"},  # not before the other one
    ("POST", "/api/v1/environments"): {"country_code"},  # the three parts of a dial plan go together or not
    ("POST", "/api/v1/tokens"): {"environment_id"},  # depends on the role, and on the environments that there are
}


@schemathesis.check
def what_is_as_described_is_read(ctx, response, case):
    """The check `positive_data_acceptance` lets 422 pass, as said in schemathesis.toml; this one sees which 422 it is."""
    meta = case.meta
    if meta is None or not meta.generation.mode.is_positive or response.status_code != 422:
        return
    answer = response.json()
    if answer["code"] != "VALIDATION_ERROR":
        return
    allowed = BEYOND_SCHEMAS.get((case.method.upper(), case.path), set())
    unexpected = set(answer["errors"]) - allowed
    assert not unexpected, f"a request that is as described is not read: {answer['errors']}"
