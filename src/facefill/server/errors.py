"""Every error as the same JSON: expected, got, fix."""

from starlette.responses import JSONResponse

from facefill.errors import InputError, NotAPhoto, TooLarge


class Refused(Exception):
    """A request that is refused. status: of HTTP. retry_s: seconds after which to try again; None: never."""

    def __init__(self, status: int, error: InputError, retry_s: int | None = None) -> None:
        super().__init__(str(error))
        self.status, self.error, self.retry_s = status, error, retry_s


def refuse(status: int, expected: str, got: str, fix: str, retry_s: int | None = None) -> Refused:
    """A `Refused` from the three parts of an `InputError`."""
    return Refused(status, InputError(expected, got, fix), retry_s)


def status_of(error: InputError) -> int:
    """The HTTP status of an error that the user can fix."""
    if isinstance(error, TooLarge):
        return 413
    return 415 if isinstance(error, NotAPhoto) else 422


def error_response(refused: Refused) -> JSONResponse:
    headers = {"Retry-After": str(refused.retry_s)} if refused.retry_s is not None else {}
    if refused.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if refused.status in (400, 408, 413):
        headers["Connection"] = "close"  # what is left of the upload is not read
    error = refused.error
    return JSONResponse(
        {"error": {"expected": error.expected, "got": error.got, "fix": error.fix, "message": str(error)}},
        refused.status,
        headers,
    )
