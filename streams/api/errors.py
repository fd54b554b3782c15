"""Errors as JSON: `{"error": {"code": ..., "message": ...}}`. No message repeats what was sent."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

CODES = {404: "not_found", 405: "method_not_allowed"}


class ApiError(Exception):
    """What is wrong with a request, or with us: an HTTP status, a code for programs, a sentence for people."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


def respond(_: Request, error: Exception) -> Response:
    """The response to an ApiError, or to what the router refuses."""
    if isinstance(error, HTTPException):
        code = CODES.get(error.status_code, "bad_request")
        error = ApiError(error.status_code, code, error.detail)
    assert isinstance(error, ApiError)  # noqa: S101  registered for these two alone
    headers = {"WWW-Authenticate": "Bearer"} if error.status == 401 else None
    return JSONResponse({"error": {"code": error.code, "message": error.message}}, error.status, headers)
