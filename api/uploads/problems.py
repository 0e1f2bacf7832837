"""The problem document of each error that an upload can end with."""

from http import HTTPStatus

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from api.http.problems import (
    RETRY_AFTER_S,
    Problem,
    invalid,
    not_found,
    problem_response,
    too_many,
    unavailable,
)
from streams.uploads.errors import (
    AlreadyCompleted,
    EmptyOriginal,
    KeyInUse,
    KeyOfAnotherRequest,
    NotAllThere,
    NothingLikeThat,
    NotYours,
    QueueTooLong,
    TakenBack,
    TooManyUploads,
    UploadEnded,
    UploadError,
)

# A queue of half a million renditions takes minutes to get shorter, so an earlier retry is useless.
QUEUE_RETRY_S = 10


def problem_of(error: UploadError) -> Problem:
    """Return the status, detail and headers that the contract states for `error`."""
    match error:
        case QueueTooLong():
            detail = (
                f"{error.queued} renditions wait to be made, more than {error.queued_max}; try again later."
            )
            return unavailable(detail, QUEUE_RETRY_S)
        case TooManyUploads():
            detail = f"You have begun {error.per_minute} uploads in a minute, which is the most."
            return too_many(detail, -(-error.wait_ms // 1_000))
        case EmptyOriginal():
            return invalid(ValueError("the body has 0 bytes, but must be an image"))
        case KeyInUse():
            detail = (
                "Another request with this Idempotency-Key is under way; repeat this one when it has ended."
            )
            return Problem(HTTPStatus.CONFLICT, detail, {"Retry-After": str(RETRY_AFTER_S)})
        case KeyOfAnotherRequest():
            detail = (
                f"This Idempotency-Key was used for photo {error.photo} with another body; "
                "a repeat must be the same, and another photo needs another key."
            )
            return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail)
        case UploadEnded():
            detail = (
                f"The upload of photo {error.photo} has ended; "
                "begin a new one, with a new Idempotency-Key if any."
            )
            return Problem(HTTPStatus.GONE, detail)
        case NothingLikeThat():
            return not_found(f"photo {error.photo}")
        case NotYours():
            return Problem(HTTPStatus.FORBIDDEN, f"Photo {error.photo} is another author's.")
        case AlreadyCompleted():
            detail = f"Photo {error.photo} is completed; nothing is left to be sent."
            return Problem(HTTPStatus.CONFLICT, detail)
        case NotAllThere():
            detail = (
                f"The {error.size_bytes} bytes of photo {error.photo} are not all there; "
                f"GET /v1/photos/{error.photo}/upload says how to send them."
            )
            return Problem(HTTPStatus.CONFLICT, detail)
        case TakenBack():
            return unavailable("The photo was taken back; try again.")
        case _:
            raise error


def add_upload_handler(app: FastAPI) -> None:
    """Turn every `UploadError` that a route raises into its problem document."""

    async def on_upload_error(_: Request, error: Exception) -> Response:
        assert isinstance(error, UploadError)
        return problem_response(problem_of(error))

    app.add_exception_handler(UploadError, on_upload_error)
