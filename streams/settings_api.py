"""Settings of the HTTP API and of the signed links."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, model_validator

from streams.section import Seconds, Section, secret_of

LEAST_TOKEN = 20  # characters; a shorter one can be guessed


class ApiToken(Section):
    """A bearer token: who it is and what it may. The token itself is in a file or an environment variable."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9._@-]{1,64}$")]  # stands in the history as who did it
    role: Literal["read", "operator"]
    token_env: str = ""
    token_file: Path | None = None

    def resolved(self) -> SecretStr:
        """The token. Raises ValueError when there is none, or a short one."""
        token = secret_of(f"api.tokens {self.name}", env=self.token_env, file=self.token_file)
        if len(token.get_secret_value()) < LEAST_TOKEN:
            raise ValueError(f"api.tokens {self.name}: the token must have at least {LEAST_TOKEN} characters")
        return token


class Api(Section):
    """The HTTP API. Without tokens it does not start: whoever can reach it could silence alerts."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535)] = 8470
    tokens: tuple[ApiToken, ...] = ()
    wait_seconds: Annotated[float, Field(ge=0, le=30)] = 5.0  # how long a request waits to see what it asked for done
    public_url: Annotated[str, Field(pattern=r"^(https?://[^\s]+)?$")] = ""  # where people reach it: base of links
    link_secret_env: str = ""  # signs the one-click links; without a secret there are none
    link_secret_file: Path | None = None
    link_seconds: Seconds = 86_400.0  # how long a link may be used

    @model_validator(mode="after")
    def _names_once(self) -> Self:
        names = [token.name for token in self.tokens]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"tokens: {', '.join(twice)} is there twice")
        return self

    def link_secret(self) -> SecretStr | None:
        """What signs links; None where links are off. Raises ValueError when it is named and can't be had."""
        if not self.link_secret_env and self.link_secret_file is None:
            return None
        secret = secret_of("api.link_secret", env=self.link_secret_env, file=self.link_secret_file)
        if len(secret.get_secret_value()) < LEAST_TOKEN:
            raise ValueError(f"api.link_secret: must have at least {LEAST_TOKEN} characters")
        return secret
