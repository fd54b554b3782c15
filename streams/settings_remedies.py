"""Settings of remedies: what may be done against which trouble, and how far it may go by itself."""

from __future__ import annotations

import string
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, model_validator

from schemas.watch import DIMENSIONS, FindingKind, Severity
from streams.section import Seconds, Section, secret_of

Mode = Literal["off", "dry_run", "approve", "automatic"]
ActionName = Literal["webhook", "litellm_block_key", "litellm_lower_budget", "kubernetes_scale"]
Address = Annotated[str, Field(pattern=r"^(https?://[^\s]+)?$")]


class Litellm(Section):
    """A LiteLLM proxy's admin API. The token is one that may manage keys."""

    url: Address = ""
    token_env: str = ""
    token_file: Path | None = None

    def token(self) -> SecretStr:
        """Raises ValueError when there is none."""
        return secret_of("remedies.litellm token", env=self.token_env, file=self.token_file)


class Kubernetes(Section):
    """A cluster's API. The token needs `get` and `patch` on the scale of what is named, and nothing else."""

    url: Address = ""
    token_env: str = ""
    token_file: Path | None = None  # read for each request: a service account's changes by the hour
    ca_file: Path | None = None

    def token(self) -> SecretStr:
        """Raises ValueError when there is none."""
        return secret_of("remedies.kubernetes token", env=self.token_env, file=self.token_file)


class Policy(Section):
    """What to do against alerts of some kinds. `off` until you say otherwise.

    `target` is made of the alert's dimensions, as `{principal}`; where one is not known there is nothing to do. Who can
    set tags can set these: let a policy be automatic only for dimensions that your own rules and directory decide.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,32}$")]
    action: ActionName
    target: Annotated[str, Field(min_length=1, max_length=256)]
    mode: Mode = "off"
    kind: tuple[FindingKind, ...] = (FindingKind.SPIKE,)
    cause: tuple[str, ...] = ()  # empty: any
    severity: tuple[Severity, ...] = ()
    team: tuple[str, ...] = ()
    environment: tuple[str, ...] = ()  # where it is proposed at all; empty: anywhere
    automatic_environments: tuple[str, ...] = ()  # where it may run by itself: staging, never everywhere
    max_per_hour: Annotated[int, Field(ge=1)] = 1  # automatic runs of this policy
    max_usd_per_hour: Annotated[Decimal, Field(gt=0)] = Decimal(50)  # above that somebody should look first
    budget_usd: Annotated[Decimal, Field(ge=0)] | None = None  # litellm_lower_budget: what is left to spend from now on
    replicas: Annotated[int, Field(ge=0)] = 0  # kubernetes_scale
    receiver: str = ""  # webhook: the name of one of alerts.receivers

    @model_validator(mode="after")
    def _whole(self) -> Self:
        faults = []
        named = [name for _, name, _, _ in string.Formatter().parse(self.target) if name is not None]
        if unknown := sorted({name for name in named if name not in DIMENSIONS}):
            faults.append(f"target: there is no dimension {', '.join(unknown)}")
        if self.mode == "automatic" and not self.automatic_environments:
            faults.append("automatic needs automatic_environments: it never runs everywhere by itself")
        if (self.action == "litellm_lower_budget") != (self.budget_usd is not None):
            faults.append("budget_usd goes with litellm_lower_budget, which needs it")
        if (self.action == "webhook") != bool(self.receiver):
            faults.append("receiver goes with webhook, which needs it")
        if self.action == "kubernetes_scale" and self.target.count("/") != 2:
            faults.append("target: must be namespace/deployments/name (or statefulsets)")
        if faults:
            raise ValueError("; ".join(faults))
        return self


class Remedies(Section):
    """What may be done by this service itself."""

    policies: tuple[Policy, ...] = ()
    litellm: Litellm = Litellm()
    kubernetes: Kubernetes = Kubernetes()
    timeout_seconds: Seconds = 10.0
    attempts: Annotated[int, Field(ge=1, le=20)] = 5  # at what may pass: time-outs, 5xx
    retry_seconds: Seconds = 2.0  # before the second attempt; doubled each time
    measure_seconds: Seconds = 3_600.0  # over which dollars avoided are counted, and no longer

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        names = [policy.name for policy in self.policies]
        faults = [f"policies: the name {name} is there twice" for name in sorted(set(names)) if names.count(name) > 1]
        used = {policy.action.partition("_")[0] for policy in self.policies if policy.mode in {"approve", "automatic"}}
        if "litellm" in used and not self.litellm.url:
            faults.append("litellm.url: a policy needs it")
        if "kubernetes" in used and not self.kubernetes.url:
            faults.append("kubernetes.url: a policy needs it")
        if faults:
            raise ValueError("; ".join(faults))
        return self
