"""Media types as RFC 9110, section 8.3.1, reads them: without regard to case, parameters apart."""


def media_type(content_type: str) -> str:
    """Return the media type of a `Content-Type` value in lower case, without its parameters."""
    return content_type.partition(";")[0].strip(" \t").lower()
