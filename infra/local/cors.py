"""The origins whose pages may read photos and put uploads from a browser: those that may call the API."""

import os


def allowed_origins() -> dict[str, bool]:
    """What SHUTTERLINE_CORS_ORIGINS names. The API refuses to start if one of them is no origin."""
    origins = os.environ.get("SHUTTERLINE_CORS_ORIGINS", "").split(",")
    return {origin.strip(): True for origin in origins if origin.strip()}
