"""ClickHouse's HTTP protocol: from a request to a statement, from a result or an error to a response.

By https://clickhouse.com/docs/interfaces/http: the SQL is the parameter `query`, or the body; with both, the body is
the data of the insert. Other parameters are settings, but for a few that are of the transport.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Mapping

import lz4.frame
from starlette.responses import Response

from streams.io.clickhouse_server.engine import EngineError, Statement

TRANSPORT = frozenset({
    "query", "database", "default_format", "query_id", "quota_key", "session_id", "session_timeout", "session_check",
    "wait_end_of_query", "buffer_size", "compress", "decompress", "client_protocol_version", "role",
    "enable_http_compression", "http_zlib_compression_level", "send_progress_in_http_headers",
    "http_headers_progress_interval_ms", "user", "password",
})  # fmt: skip
FORMAT = re.compile(rb"\bFORMAT\s+(\w+)\s*;?\s*\Z", re.IGNORECASE)
ANSWERS = re.compile(rb"\s*\(?\s*(SELECT|WITH|SHOW|DESC|DESCRIBE|EXISTS|EXPLAIN)\b", re.IGNORECASE)
STATUS = {60: 404, 81: 404, 62: 400, 36: 400, 115: 404, 516: 403, 497: 403}  # as the server; what is not here is 500
DECODERS = {"gzip": gzip.decompress, "deflate": zlib.decompress, "lz4": lz4.frame.decompress}
ENCODERS = {"lz4": lz4.frame.compress, "gzip": lambda data: gzip.compress(data, 1)}
MULTIPART = "multipart/form-data"
NOT_IMPLEMENTED = 48


def statement(query: Mapping[str, str], headers: Mapping[str, str], body: bytes) -> Statement:
    """What a request asks for. Raises EngineError when it can't be read."""
    if headers.get("content-type", "").startswith(MULTIPART):
        raise _error(NOT_IMPLEMENTED, "forms and external data are not taken here")
    encoding = headers.get("content-encoding", "identity")
    if encoding != "identity":
        body = _decoded(encoding, body)
    sql = query.get("query", "").encode()
    return Statement(
        sql=sql + b"\n" + body if sql and body else sql or body,
        database=query.get("database", ""),
        parameters={name[6:]: value for name, value in query.items() if name.startswith("param_")},
        settings={n: v for n, v in query.items() if n not in TRANSPORT and not n.startswith("param_")},
        format=query.get("default_format", "TabSeparated"),
    )


def answer(asked: Statement, result: bytes, query: Mapping[str, str], headers: Mapping[str, str]) -> Response:
    """The response to a statement that was run."""
    named = FORMAT.search(asked.sql[-100:])
    sent = {"X-ClickHouse-Timezone": "UTC", "X-ClickHouse-Summary": "{}"}
    if named is not None and asked.sql.lstrip()[:6].upper() != b"INSERT":
        sent["X-ClickHouse-Format"] = named[1].decode()
    elif result or ANSWERS.match(asked.sql):
        sent["X-ClickHouse-Format"] = asked.format
    if query.get("enable_http_compression") == "1":
        wanted = [name.strip() for name in headers.get("accept-encoding", "").split(",")]
        encoding = next((name for name in wanted if name in ENCODERS), None)
        if encoding is not None and result:
            result, sent["Content-Encoding"] = ENCODERS[encoding](result), encoding
    return Response(result, headers=sent)


def refusal(error: EngineError) -> Response:
    """The response to a statement that failed."""
    sent = {"X-ClickHouse-Exception-Code": str(error.code)}
    return Response(str(error), status_code=STATUS.get(error.code, 500), headers=sent, media_type="text/plain")


def denied() -> EngineError:
    """The error for a wrong name or password; it does not say which."""
    return _error(
        516, "Authentication failed: password is incorrect, or there is no user with such name", "AUTHENTICATION_FAILED"
    )


def _decoded(encoding: str, body: bytes) -> bytes:
    decode = DECODERS.get(encoding)
    if decode is None:
        raise _error(NOT_IMPLEMENTED, f"the encoding {encoding[:20]} is not taken here")
    try:
        return bytes(decode(body))
    except (OSError, EOFError, RuntimeError, zlib.error) as error:
        raise _error(271, f"the body can't be decompressed: {type(error).__name__}", "CANNOT_DECOMPRESS") from None


def _error(code: int, text: str, name: str = "NOT_IMPLEMENTED") -> EngineError:
    return EngineError(code, f"Code: {code}. DB::Exception: {text}. ({name})")
