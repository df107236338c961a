"""Every error as the same JSON: expected, got, fix."""

from starlette.responses import JSONResponse

from facefill.errors import InputError, NotAPhoto, TooLarge


class Refused(InputError):
    """A request that is refused. status: of HTTP. retry_s: seconds after which to try again; None: never."""

    def __init__(self, status: int, expected: str, got: str, fix: str, retry_s: int | None = None) -> None:
        super().__init__(expected, got, fix)
        self.status, self.retry_s = status, retry_s


def error_response(error: InputError) -> JSONResponse:
    status, headers = 422, {}
    if isinstance(error, Refused):
        status, headers = error.status, {"Retry-After": str(error.retry_s)} if error.retry_s is not None else {}
    elif isinstance(error, TooLarge | NotAPhoto):
        status = 413 if isinstance(error, TooLarge) else 415
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if status in (400, 408, 413):
        headers["Connection"] = "close"  # what is left of the upload is not read
    said = {"expected": error.expected, "got": error.got, "fix": error.fix, "message": str(error)}
    return JSONResponse({"error": said}, status, headers)
