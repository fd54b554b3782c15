"""The real Alertmanager on loopback, with intervals short enough for a test."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import httpx

from streams.io.process import BoundProcess, free_port
from tests.support.require import require

START_SECONDS = 20.0
CONFIG = """
global: {{resolve_timeout: 5s}}
route:
  receiver: ops
  group_by: [alert_id]
  group_wait: 100ms
  group_interval: 300ms
  repeat_interval: {repeat}
receivers:
  - name: ops
    webhook_configs:
      - {{url: "{url}", send_resolved: true}}
"""


class Alertmanager:
    """A process that tells `url` of what fires and of what is over, again every `repeat`."""

    def __init__(self, folder: Path, url: str, repeat: str = "1s") -> None:
        require(shutil.which("prometheus-alertmanager"), "Alertmanager (apt install prometheus-alertmanager)")
        self.url = f"http://127.0.0.1:{free_port()}"
        config = folder / "alertmanager.yml"
        config.write_text(CONFIG.format(url=url, repeat=repeat), encoding="utf-8")
        self._command = [
            "prometheus-alertmanager",
            f"--config.file={config}",
            f"--storage.path={folder / 'alertmanager'}",
            f"--web.listen-address={self.url.removeprefix('http://')}",
            "--cluster.listen-address=",
        ]
        self._process: BoundProcess | None = None

    def __enter__(self) -> Alertmanager:
        self._process = BoundProcess(self._command)
        if not self._process.wait_until(self._ready, timeout_seconds=START_SECONDS):
            said = self._process.said_last()
            self._process.stop()
            raise RuntimeError(f"Alertmanager did not start: {said}")
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.stop()

    def silences(self) -> list[str]:
        """The states of the silences that were ever set, `active` or `expired`."""
        answer: list[dict[str, Any]] = httpx.get(f"{self.url}/api/v2/silences", timeout=5).json()
        return sorted(silence["status"]["state"] for silence in answer)

    def alerts(self) -> list[dict[str, Any]]:
        """The alerts that it holds to fire now."""
        found: list[dict[str, Any]] = httpx.get(f"{self.url}/api/v2/alerts", timeout=5).json()
        return found

    def _ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/-/ready", timeout=1).status_code == 200
        except httpx.HTTPError:
            return False
