"""A model of the rule, written from the table of docs/rule.md alone. It predicts the route of each inbound call from the outbound calls."""

import random
from dataclasses import dataclass, field

LOOKBACK = 30 * 86400


@dataclass
class Agent:
    name: str
    direction: str
    numbers: list = field(default_factory=list)
    published: bool = True
    id: str = None


@dataclass
class Role:
    agent: Agent
    sources: list
    outcomes: list = None


class World:
    """Agents, numbers and roles, and the last call of each number to each contact."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.numbers = [f"+1212555{n:04}" for n in range(100, 120)]
        self.sources = [Agent(f"source {n}", "outbound", list(self.numbers)) for n in range(7)]
        # One number has no default agent, and one has no agents at all.
        self.fronts = [Agent(f"front {n}", "inbound", self.numbers[:-2][n::3]) for n in range(3)]
        self.desks = [Agent(f"desk {n}", "inbound", self.some(self.numbers[:-1], 14)) for n in range(5)]
        self.desks[4].published = False
        s, d = self.sources, self.desks
        self.roles = [
            Role(d[0], [s[0], s[1]]),
            Role(d[1], [s[1], s[2]], ["no_answer", "busy"]),
            Role(d[2], [s[3]]),
            Role(d[3], [s[0], s[4]], ["answered", "failed"]),
            Role(d[4], [s[5], s[0]]),
        ]
        self.last = {}

    @property
    def inbound(self):
        return self.fronts + self.desks

    def some(self, items, count):
        return sorted(self.random.sample(items, count))

    def configure(self, role):
        """Sets a role, which becomes the one configured last."""
        self.roles = [kept for kept in self.roles if kept.agent is not role.agent] + [role]

    def placed(self, number, contact, source, at, outcome):
        held = self.last.get((number, contact))
        if held is None or held[0] < at:
            self.last[number, contact] = (at, source, outcome)
        else:
            assert held[0] > at, "two calls of one pair in one second: the model does not say which is the last"

    def default(self, number):
        """Returns the published inbound owner that was assigned first."""
        owners = [agent for agent in self.inbound if number in agent.numbers and agent.published]
        return owners[0] if owners else None

    def takes(self, number, caller, now):
        """Returns the agent of a call, or None if it is unrouted. The caller is a number, or None if it is withheld."""
        if number not in self.numbers:
            return None
        last = self.last.get((number, caller)) if caller else None
        if last is None:
            return self.default(number)
        at, source, outcome = last
        candidates = [role for role in self.roles if source in role.sources]
        candidates = [role for role in candidates if number in role.agent.numbers and role.agent.published]
        candidates = [role for role in candidates if role.outcomes is None or outcome in role.outcomes]
        if now - at > LOOKBACK:
            candidates = []
        return candidates[-1].agent if candidates else self.default(number)
