"""SQL on a running server, the way an application of the primary would do it."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Sequence
from typing import Any


def execute(url: str, statements: Sequence[str], *, token: str = "") -> list[dict[str, Any]]:
    """Run statements one after another on one connection; AssertionError with the server's words when one fails."""
    requests = [{"type": "execute", "stmt": {"sql": sql}} for sql in statements]
    body = json.dumps({"requests": [*requests, {"type": "close"}]}).encode()
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
    request = urllib.request.Request(f"{url}/v2/pipeline", body, headers)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=60) as response:
        results: list[dict[str, Any]] = json.load(response)["results"]
    for sql, result in zip(statements, results, strict=False):
        assert result["type"] == "ok", f"{sql}: {result}"
    return results
