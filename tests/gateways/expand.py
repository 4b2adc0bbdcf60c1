"""`${name}` and `${function(arguments)}`, possibly nested, as both FreeSWITCH and Asterisk write them."""


def expand(text, value):
    """Replaces each expression, the innermost first. `value` returns the value for the text between the braces."""
    out, place = [], 0
    while (begin := text.find("${", place)) >= 0:
        out.append(text[place:begin])
        depth, end = 1, begin + 2
        while depth:
            assert end < len(text), f"unclosed: {text}"
            depth += {"{": 1, "}": -1}.get(text[end], 0)
            end += 1
        out.append(value(expand(text[begin + 2 : end - 1], value)))
        place = end
    return "".join(out + [text[place:]])
