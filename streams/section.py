"""What every table of the settings shares."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, SecretStr

Seconds = Annotated[float, Field(gt=0)]


class Section(BaseModel):
    """A table of the file. A misspelt setting is an error, never ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


def secret_of(setting: str, *, env: str, file: Path | None) -> SecretStr:
    """A secret from where it is kept. Raises ValueError naming the setting when there is none or it can't be read."""
    text = os.environ.get(env, "") if env else ""
    if not text and file is not None:
        try:
            text = file.read_text(encoding="utf-8")
        except OSError as error:
            raise ValueError(f"{setting}: its file cannot be read: {error.strerror}") from None
    if not text.strip():
        raise ValueError(f"{setting}: names neither an environment variable that is set nor a file that holds it")
    return SecretStr(text.strip())
