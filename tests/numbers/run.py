"""Compares how Dialback and Python's `phonenumbers` read random numbers of every region, in each form."""

import json
import random
import re
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumberFormat, PhoneNumberType
from phonenumbers.phonemetadata import PhoneMetadata

try:
    from re import _parser as parser
except ImportError:
    import sre_parse as parser

HERE = Path(__file__).parent
# Numbers of each region.
NUMBERS = 30
# The part of the texts of each form that must be read alike. Canonical `+` forms have no exception.
BAR = 0.995
CANONICAL = ("plus", "plus abroad")


def sample(pattern, chance):
    """Returns a random text that the pattern matches."""

    def walk(tokens):
        return "".join(one(*token) for token in tokens)

    def one(kind, value):
        match str(kind):
            case "LITERAL":
                return chr(value)
            case "IN":
                digits = [c for c in "0123456789" if re.fullmatch(class_of(value), c)]
                return chance.choice(digits)
            case "MAX_REPEAT":
                low, high, inner = value
                return "".join(walk(inner) for _ in range(chance.randint(low, min(high, low + 6))))
            case "SUBPATTERN":
                return walk(value[-1])
            case "BRANCH":
                return walk(chance.choice(value[1]))
            case "AT":
                return ""
        raise ValueError(f"{kind} in {pattern}")

    return walk(parser.parse(pattern))


def class_of(items):
    parts = []
    for kind, value in items:
        match str(kind):
            case "LITERAL":
                parts.append(chr(value))
            case "RANGE":
                parts.append(f"{chr(value[0])}-{chr(value[1])}")
            case "CATEGORY":
                parts.append("0-9")
            case other:
                raise ValueError(other)
    return "[" + "".join(parts) + "]"


TYPES = [
    "fixed_line", "mobile", "toll_free", "premium_rate", "shared_cost", "personal_number", "voip", "pager", "uan",
    "voicemail",
]


def numbers_of(region, metadata, chance):
    """Returns random valid numbers of a region, of all types."""
    patterns = [desc.national_number_pattern for desc in (getattr(metadata, kind) for kind in TYPES)
                if desc is not None and desc.national_number_pattern]
    # Most calls are made from these.
    usual = [getattr(metadata, kind).national_number_pattern for kind in ("fixed_line", "mobile")
             if getattr(metadata, kind) is not None and getattr(metadata, kind).national_number_pattern]
    found = {}
    for _ in range(NUMBERS * 40):
        if len(found) == NUMBERS:
            break
        national = sample(chance.choice(usual * 3 + patterns), chance)
        try:
            number = phonenumbers.parse(f"+{metadata.country_code}{national}", None)
        except NumberParseException:
            continue
        if phonenumbers.national_significant_number(number) != national:
            continue
        # A few services have 16 digits and more, which no trunk can send from abroad (E.164, section 6).
        fits = len(e164(number)) <= 16
        if fits and phonenumbers.is_valid_number_for_region(number, region):
            found[e164(number)] = number
    return list(found.values())


def e164(number):
    return phonenumbers.format_number(number, PhoneNumberFormat.E164)


def forms(number, metadata, chance):
    """Returns the texts for a number that people, platforms and trunks of its region write, by form."""
    code, national = str(metadata.country_code), phonenumbers.national_significant_number(number)
    prefix = metadata.national_prefix or ""
    abroad = metadata.preferred_international_prefix or sample(metadata.international_prefix, chance)
    abroad = abroad.replace("~", "")
    spaced = phonenumbers.format_number(number, PhoneNumberFormat.INTERNATIONAL)
    cut = max(1, len(national) // 3)
    area, rest = national[:cut], national[cut:]
    return {
        "plus": f"+{code}{national}",
        "plus abroad": f"+{code}{national}",
        "exit code": f"{abroad}{code}{national}",
        "trunk prefix": prefix + national,
        "national": national,
        "bare country code": code + national,
        "plus and trunk prefix": f"+{code}{prefix}{national}",
        "spaces": spaced,
        "dots": re.sub("[ -]", ".", phonenumbers.format_number(number, PhoneNumberFormat.NATIONAL)),
        "slashes": f"{prefix}{area} / {rest}",
        "brackets": f"({prefix}{area}) {rest}",
        "plus and brackets": f"(+{code}) {prefix}{area} {rest}",
    }


def expected(text, region, number):
    """Returns the number as the library reads it: if that cannot be a number, the one that was meant."""
    # The library drops letters that national formats of some regions contain. They are no part of a number here.
    try:
        read = phonenumbers.parse(text, region)
    except NumberParseException:
        return e164(number)
    possible = phonenumbers.is_possible_number_with_reason(read) == phonenumbers.ValidationResult.IS_POSSIBLE
    return e164(read) if possible else e164(number)


def rows():
    chance = random.Random(17)
    for region in sorted(phonenumbers.SUPPORTED_REGIONS):
        metadata = PhoneMetadata.metadata_for_region(region)
        for number in numbers_of(region, metadata, chance):
            for form, text in forms(number, metadata, chance).items():
                asked = "GB" if form == "plus abroad" and region != "GB" else region
                asked = "US" if form == "plus abroad" and region == "GB" else asked
                yield asked, region, form, text, expected(text, asked, number)


def read(program, lines, *options):
    done = subprocess.run([program, *options], input="".join(lines), capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def compare(rows, answers, known):
    """Returns the disagreements that are not known, and the count of texts and disagreements by form."""
    total, wrong, unknown, seen = Counter(), Counter(), [], Counter()
    for (asked, region, form, text, right), answer in zip(rows, answers, strict=True):
        total[form] += 1
        if answer != right:
            wrong[form] += 1
            seen[region, form] += 1
            if (region, form) not in known:
                unknown.append((region, form, text, right, answer))
    return total, wrong, unknown, seen


def known_disagreements():
    """Reads the list: a line has a region, a form, and the reason after a colon."""
    known = {}
    for line in (HERE / "disagreements.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            place, reason = line.split(":", 1)
            region, form = place.split(" ", 1)
            assert reason.strip(), line
            known[region, form] = reason.strip()
    return known


def verdict(total, wrong, unknown, seen, known):
    problems = [f"{region} {form}: {text!r} is {right}, read as {answer}" for region, form, text, right, answer in unknown]
    problems += [f"{region} {form} is listed but agrees now" for region, form in known if not seen[region, form]]
    for form in total:
        share = 1 - wrong[form] / total[form]
        bar = 1.0 if form in CANONICAL else BAR
        if share < bar:
            problems.append(f"{form}: {share:.2%} are read alike, {bar:.1%} must be")
    return problems


def main():
    program = sys.argv[1]
    asked = list(rows())
    answers = read(program, [f"{row[0]}\t{row[3]}\n" for row in asked])
    known = known_disagreements()
    total, wrong, unknown, seen = compare(asked, answers, known)
    print(f"{'texts':>7} {'alike':>8}  form")
    for form in total:
        print(f"{total[form]:7} {1 - wrong[form] / total[form]:8.2%}  {form}")
    problems = verdict(total, wrong, unknown, seen, known)
    regions = {row[1] for row in asked}
    if len(regions) < 240 or min(total.values()) < 6000:
        problems.append(f"only {len(regions)} regions and {min(total.values())} numbers were tried")

    # A possible number may be stored, and no other.
    possible = read(program, [f"{row[0]}\t{row[3]}\n" for row in asked if row[2] == "plus"], "--possible")
    refused = [row[3] for row, answer in zip((row for row in asked if row[2] == "plus"), possible) if answer != "true"]
    problems += [f"{text} may not be stored" for text in refused]

    # Canary: one wrong reading is found.
    planted = list(answers)
    place = next(place for place, row in enumerate(asked) if row[2] == "plus")
    planted[place] = planted[place][:-1] + ("1" if planted[place][-1] == "0" else "0")
    if not verdict(*compare(asked, planted, known), known)[len(problems) - len(refused):]:
        problems.append("a planted wrong reading is not found")
    for problem in problems[:60]:
        print(problem, file=sys.stderr)
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
