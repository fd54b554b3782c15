"""One name per accelerator, whatever reports it: dcgm-exporter's `modelName`, a cloud's label, a person."""

from __future__ import annotations

import re

_NVIDIA = re.compile(
    r"^(?:nvidia[ -])?(?:tesla[ -])?(?P<chip>gh200|gb200|b300|b200|h200|h100|a100|l40s|l40|l4|a10g|a10|t4|v100)"
    r"(?:[ -](?P<rest>.*))?$"
)
_AMD = re.compile(r"^(?:amd[ -])?(?:instinct[ -])?(?P<chip>mi(?:355x|350x|325x|300x|300a|250x|250|210))\b")
_TPU = re.compile(r"^(?:google[ -])?(?:cloud[ -])?(?:tpu[ -]?)?(?P<chip>v[2-7]\w?|ironwood|trillium)(?:[ -].*)?$")
_GB = re.compile(r"(\d+)\s*gb\b")
# The memory that a chip is sold with when a name doesn't say: one size, or the common one.
_MEMORY = {
    "h100": 80, "h200": 141, "a100": 40, "b200": 180, "l4": 24, "l40": 48, "l40s": 48, "a10": 24, "a10g": 24, "t4": 16,
    "v100": 16,
}  # fmt: skip
_ONE_SIZE = frozenset({"l4", "l40", "l40s", "a10", "a10g", "t4", "h200", "b200", "h100"})
_TPU_NAMES = {"v5-lite": "v5e", "v5litepod": "v5e", "v5lite": "v5e", "trillium": "v6e", "ironwood": "v7"}


def normalise(name: str) -> str:
    """The canonical name: `NVIDIA H100 80GB HBM3` and `H100` are `nvidia-h100-80gb`. Others are kept, in lower case."""
    text = " ".join(name.strip().lower().replace("_", "-").split())
    if found := _NVIDIA.match(text):
        return _nvidia(found["chip"], found["rest"] or "")
    if found := _AMD.match(text):
        return f"amd-{found['chip']}"
    for old, new in _TPU_NAMES.items():
        text = text.replace(old, new)
    text = text.replace("ct5lp", "v5e").replace("ct5p", "v5p").replace("ct6e", "v6e")
    if ("tpu" in text or re.match(r"^v\d", text)) and (found := _TPU.match(text)):
        return f"google-tpu-{found['chip']}"
    return text.replace(" ", "-")


def _nvidia(chip: str, rest: str) -> str:
    memory = _GB.search(rest)
    gigabytes = int(memory[1]) if memory and chip not in _ONE_SIZE else _MEMORY.get(chip)
    if chip == "h100" and ("nvl" in rest or "94gb" in rest):
        gigabytes = 94  # H100 NVL, with a price of its own
    return f"nvidia-{chip}-{gigabytes}gb" if gigabytes else f"nvidia-{chip}"
