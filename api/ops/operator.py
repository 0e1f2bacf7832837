"""Who may see values and change things: a token with the role `ops`, also where the pages are open to all.

A browser sends the token in the header, if a proxy in front adds it there, or in a field of a form.
With such a proxy every request of the browser is one of the operator, so a foreign page could send a
form. Browsers say where a form comes from, and foreign ones are refused.
"""

from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import parse_qsl, urlsplit

from starlette.requests import Request

from api.auth.tokens import OPS_ROLE, Caller, InvalidToken, TokenVerifier
from api.http.problems import Problem, invalid
from api.services import caller_of

FORM = "application/x-www-form-urlencoded"
FIELDS_MAX = 20


async def form_of(request: Request) -> Mapping[str, str]:
    """Return the fields of a form that one of our own pages sent, each once.

    Raises:
        Problem: 403 for another page's form, 415 for another type, 422 for what is no form.
    """
    _require_own_page(request)
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != FORM:
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"The body must be {FORM}.")
    try:
        fields = parse_qsl(
            (await request.body()).decode("ascii"),
            keep_blank_values=True,
            max_num_fields=FIELDS_MAX,
            errors="strict",
        )
    except ValueError as error:
        raise invalid(ValueError(f"The body is no form: {error}")) from None
    return dict(fields)


async def require_ops(request: Request, token: str, verifier: TokenVerifier) -> Caller:
    """Return the operator by the request's token, or by `token` if it has none.

    Raises:
        Problem: 401 without a valid token, 403 without the role.
        StoreUnavailable: The key set could not be fetched.
    """
    if token and "authorization" not in request.headers:
        try:
            caller = await verifier.verify(token)
        except InvalidToken as error:
            raise Problem(HTTPStatus.UNAUTHORIZED, f"The token is not valid: {error}.") from None
    else:
        caller = await caller_of(request)
    if OPS_ROLE not in caller.roles:
        raise Problem(HTTPStatus.FORBIDDEN, f"This needs the role {OPS_ROLE}.")
    return caller


def _require_own_page(request: Request) -> None:
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    if site is not None:
        # The browser has compared the addresses itself; behind a proxy our host may be another one.
        is_own = site == "same-origin"
    else:
        is_own = origin is None or urlsplit(origin).netloc == request.headers.get("host")
    if not is_own:
        raise Problem(HTTPStatus.FORBIDDEN, "This form came from a page of another site.")
