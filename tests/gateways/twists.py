"""Variants of the model with one mistake each, for each line of the rule that calls can reveal."""

import copy


def of(world):
    for what, twist in [
        ("outcomes do not count", without_outcomes),
        ("drafts take calls", with_drafts),
        ("whoever does not own the number takes it", with_all_numbers),
        ("the role configured first counts", with_roles_reversed),
        ("the contact alone counts, on whatever number", with_any_number),
        ("two agents swapped", with_two_swapped),
        ("nobody has been called", without_history),
    ]:
        # Agents are compared by name.
        twisted = copy.deepcopy(world)
        twist(twisted)
        yield what, twisted


def without_outcomes(world):
    for role in world.roles:
        role.outcomes = None


def with_drafts(world):
    for role in world.roles:
        role.agent.published = True


def with_all_numbers(world):
    for role in world.roles:
        role.agent.numbers = world.numbers


def with_roles_reversed(world):
    world.roles.reverse()


def with_any_number(world):
    latest = {}
    for (_, contact), call in sorted(world.last.items(), key=lambda held: held[1][0]):
        latest[contact] = call
    world.last = {(number, contact): call for contact, call in latest.items() for number in world.numbers}


def with_two_swapped(world):
    one, other = world.fronts[0], world.desks[2]
    one.name, other.name = other.name, one.name


def without_history(world):
    world.last = {}
