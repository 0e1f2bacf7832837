"""Media types by RFC 9110, section 8.3.1: case does not matter, parameters are not part of them."""


def media_type(content_type: str) -> str:
    """Return the media type of a `Content-Type` value in lower case, without its parameters."""
    return content_type.partition(";")[0].strip(" \t").lower()
