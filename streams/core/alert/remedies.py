"""What to do about it: for each kind and cause one to three concrete steps, the quickest first."""

from __future__ import annotations

import string
from collections.abc import Mapping

from schemas.records import Meter
from schemas.watch import Finding, FindingKind

Step = tuple[str, ...]
"""One step in several wordings: the first whose {dimensions} are all known is given."""
Table = Mapping[tuple[str, str], tuple[Step, ...]]

METER_BROKE: Step = ("Check that this usage is still reported: a meter that broke hides spend.",)

_TOKENS: Table = {
    ("spike", ""): (
        ("Cap key {principal} at the gateway until its owner has answered.", "Find the key behind it and cap it."),
        ("Look at the last deploy of feature {feature}.", "Look at what was deployed just before it began."),
    ),
    ("spike", "volume"): (
        (
            "Revoke or cap key {principal}: its requests multiplied, as in a loop, a retry storm or a leak.",
            "Find the key behind it and cap it: requests multiplied, as in a loop, a retry storm or a leak.",
        ),
        (
            "Look at retries and the last deploy of feature {feature}.",
            "Look at retries and at what was deployed just before.",
        ),
    ),
    ("spike", "tokens_per_request"): (
        (
            "Check the last deploy of feature {feature}: its prompts or answers grew.",
            "Check the last deploy behind key {principal}: its prompts or answers grew.",
            "Check the last deploy: prompts or answers grew.",
        ),
        ("Set a maximum of output tokens, and trim the context that is sent along.",),
    ),
    ("spike", "unit_price"): (
        ("Check whether the beginning of the prompt changed: it breaks the prompt cache, and input costs in full.",),
        ("Check the service tier, and whether batch calls became immediate ones.",),
    ),
    ("spike", "mix"): (
        (
            "Check who changed the model of key {principal} to {model}, and change it back.",
            "Check who changed the model, and change it back: a dearer one took over.",
        ),
        ("Look at the gateway's routing and fallbacks.",),
    ),
    ("creep", ""): (
        ("Compare today's prompts with those of a week ago: context and history tend to grow unnoticed.",),
        ("Ask team {team} whether the growth is planned; if it is, set a budget.", "If it is planned, set a budget."),
    ),
    ("drop", ""): (METER_BROKE, ("If the traffic really stopped, look for an outage of the application.",)),
    ("new_series", ""): (
        ("Ask who made key {principal}; revoke it if nobody knows.", "Ask who uses it; block it if nobody knows."),
        ("If it is meant to be, name its owner in the rules and set a budget.",),
    ),
    ("unpriced", ""): (
        (
            "Add a price row for {model}: until then its cost is unknown, not zero.",
            "Add a price row: until then the cost is unknown, not zero.",
        ),
    ),
    ("unallocated", ""): (
        (
            "Name the owner of key {principal} in the owners file.",
            "Add a rule, or send the tags that the rules expect.",
        ),
    ),
    ("budget_burn", ""): (
        ("Ask team {team} what is worth its money this month, and cap the rest.", "Cap what is worth least."),
        ("Or raise the budget.",),
    ),
}

_GPUS: Table = {
    ("spike", ""): (
        (
            "Scale cluster {cluster} down: look for runs that nobody waits for, and at the autoscaler's upper limit.",
            "Look for runs that nobody waits for, and at the autoscaler's upper limit.",
        ),
        ("Ask team {team} whether it is planned, and until when.", "Ask the owner whether it is planned."),
    ),
    ("spike", "unit_price"): (("Check whether spot or reserved capacity ran out and on-demand took over.",),),
    ("creep", ""): (("Look for jobs that never end and nodes that are never given back.",),),
    ("drop", ""): (METER_BROKE, ("If the GPUs are gone, see that their work runs elsewhere.",)),
    ("idle", ""): (
        ("Scale cluster {cluster} down, or let it scale to zero.", "Scale it down, or let it scale to zero."),
        ("Find the workloads that hold GPUs without using them, and end them.",),
    ),
    ("new_series", ""): (
        ("Ask who started cluster {cluster}; shut it down if nobody knows.", "Ask who started it."),
    ),
    ("unpriced", ""): (
        ("Add {accelerator} to the GPU rate card: until then its cost is unknown, not zero.",
         "Add it to the GPU rate card: until then its cost is unknown, not zero."),
    ),
    ("unallocated", ""): (("Name the owner of cluster {cluster} in the rules.", "Add a rule that gives it an owner."),),
}  # fmt: skip

_BILL: Table = {
    ("spike", ""): (
        ("Look at what was created or resized in {service}.", "Look at what was created or resized."),
        ("Ask the owner of account {account} whether it is planned.", "Ask the owner whether it is planned."),
    ),
    ("creep", ""): (
        (
            "Look for what runs in {service} and did not a week ago: something may have been left on.",
            "Look for what runs and did not a week ago: something may have been left on.",
        ),
        ("Ask the owner of account {account} whether it is planned.", "Ask the owner whether it is planned."),
    ),
    ("drop", ""): (("Check that the export of the bill is complete.",),),
    ("new_series", ""): (("Ask who began to use {service}.", "Ask who began to use it."),),
    ("unallocated", ""): (("Tag the resources, or add a rule for account {account}.", "Add a rule for these lines."),),
}

_BY_METER: Mapping[Meter, Table] = {"token_call": _TOKENS, "gpu_usage": _GPUS, "line_item": _BILL}


def remedies(kind: FindingKind, cause: str, known: Mapping[str, str], meter: Meter) -> list[str]:
    """One to three steps. `known` is what is known of who it is; the cause falls back to the kind."""
    steps = next(
        table[key]
        for table, key in (
            (_BY_METER[meter], (kind.value, cause)),
            (_BY_METER[meter], (kind.value, "")),
            (_TOKENS, (kind.value, "")),
            ({("", ""): (("Look at the drivers, and ask the owner whether it is planned.",),)}, ("", "")),
        )
        if key in table
    )
    return [wording for step in steps if (wording := _wording(step, known))]


def remedies_for(finding: Finding) -> list[str]:
    """The finding's own; else those for its series, and for its first driver where that is most of it."""
    if finding.remedies:
        return list(finding.remedies)
    known = dict(finding.series)
    for driver in finding.drivers[:1]:
        if driver.share >= 0.5:
            known = {**driver.series, **known}
    return remedies(finding.kind, finding.cause, known, finding.meter)


def _wording(step: Step, known: Mapping[str, str]) -> str:
    for text in step:
        if all(known.get(name) for _, name, _, _ in string.Formatter().parse(text) if name):
            return text.format_map(known)
    return ""
