"""Pseudo-random calls, equal in each run."""

from sipp import NOTHING, Call


class Outbound(Call):
    """An outbound call of an agent, and the trunk's response."""

    def __init__(self, label, source, number_of_ours, contact, status):
        headers = (f"X-Agent-ID: {source.id}", f"X-Outcome: {status}")
        super().__init__(label, contact, f"{number_of_ours}@gateway", headers)
        self.source, self.number_of_ours, self.status = source, number_of_ours, status


class Inbound(Call):
    """An inbound call with this caller number, or without one."""

    def __init__(self, label, number, shown, caller, *headers):
        super().__init__(label, number, caller, (*headers, NOTHING, NOTHING)[:2])
        self.shown = shown


class Traffic:
    def __init__(self, world):
        self.world, self.random = world, world.random
        self.labels, self.contacts, self.pairs = 0, 0, []

    def label(self):
        self.labels += 1
        return f"call-{self.labels}"

    def contact(self):
        self.contacts += 1
        return f"+1415{2000000 + self.contacts * 7}"

    def outbound_to(self, number, contact):
        self.pairs.append((number, contact))
        status = self.random.choices([200, 486, 480, 603], [5, 2, 2, 1])[0]
        return Outbound(self.label(), self.random.choice(self.world.sources), number, contact, status)

    def outbound(self, count):
        return [self.outbound_to(self.random.choice(self.world.numbers), self.contact()) for _ in range(count)]

    def outbound_again(self, count):
        """Returns calls to contacts that were called before, from the same number or another."""
        pairs = self.random.sample(self.pairs, count)
        other = self.random.choice(self.world.numbers)
        return [self.outbound_to(number if n % 2 else other, contact) for n, (number, contact) in enumerate(pairs)]

    def outbound_to_others(self, count):
        calls = self.outbound(count)
        del self.pairs[-count:]
        return calls

    def inbound(self, count):
        return [self.random_inbound() for _ in range(count)]

    def answers_to(self, calls):
        return [self.plain(call.number_of_ours, call.number) for call in calls]

    def plain(self, number, contact):
        return Inbound(self.label(), number, contact, f"{contact}@trunk.example.com")

    def random_inbound(self):
        number, contact = self.random.choice(self.pairs)
        stranger = f"+1650{self.random.randrange(2000000, 9999999)}"
        kinds = ["plain", "other number", "stranger", "bare", "asserted", "anonymous", "private", "unknown number"]
        match self.random.choices(kinds, [60, 10, 10, 6, 5, 4, 3, 2])[0]:
            case "plain":
                return self.plain(number, contact)
            case "other number":
                return self.plain(self.random.choice(self.world.numbers), contact)
            case "stranger":
                return self.plain(number, stranger)
            case "bare":
                return Inbound(self.label(), number, contact, f"{contact[1:]}@trunk.example.com")
            case "asserted":
                asserted = f"P-Asserted-Identity: <sip:{contact}@trunk.example.com>"
                return Inbound(self.label(), number, contact, f"{stranger}@trunk.example.com", asserted)
            case "anonymous":
                return Inbound(self.label(), number, None, "anonymous@anonymous.invalid")
            case "private":
                asserted = f"P-Asserted-Identity: <sip:{contact}@trunk.example.com>"
                return Inbound(self.label(), number, None, "anonymous@anonymous.invalid", asserted, "Privacy: id")
            case "unknown number":
                return self.plain("+13105550000", contact)
