"""Checks whether calls reached the right agents."""

REFUSED = "refused"


def name(agent):
    return agent.name if agent else REFUSED


def landed(call):
    """Returns the agent that got the call. No agent, or several, have a special name."""
    names = [who for who, _ in call.landings]
    if call.ended == REFUSED:
        return REFUSED if not names else f"refused after {names}"
    return names[0] if len(names) == 1 else f"{len(names)} agents {names}"


def wrong(calls, allowed):
    """Returns the calls that reached an agent which `allowed` does not list for them."""
    return [call for call in calls if landed(call) not in allowed(call)]


def between(call, begun, done, before, after):
    """Returns the allowed agents of a call during a change from `begun` to `done`. A call that may be decided before or after the change allows both."""
    at = call.landings[0][1] if call.landings else None
    if at is not None and at < begun:
        return {before}
    return {after} if call.sent > done else {before, after}


def hold(what, calls, allowed):
    found = wrong(calls, allowed)
    shown = [f"{call.label} landed at {landed(call)}, not at {sorted(allowed(call))}" for call in found[:5]]
    assert not found, f"{what}: {len(found)} of {len(calls)} calls landed wrong\n" + "\n".join(shown)
    print(f"  {what}: {len(calls)} calls, each landed right", flush=True)


def must_find(what, calls, allowed):
    found = wrong(calls, allowed)
    assert found, f"{what}: a planted mistake was not found in {len(calls)} calls"
    print(f"  planted: {what}: found in {len(found)} of {len(calls)} calls", flush=True)
