"""Images in requests."""

from __future__ import annotations

from rbee.contract.errors import InvalidRequestError

# First bytes in base64; WebP's name stands only behind its size.
_BEGINNINGS = (
    ("iVBORw0KGgo", "image/png"),
    ("/9j/", "image/jpeg"),
    ("R0lGOD", "image/gif"),
    ("UklGR", "image/webp"),
)


def image_part(url: str) -> dict[str, object]:
    """A part of a message in OpenAI's form."""
    return {"type": "image_url", "image_url": {"url": url}}


def data_url(encoded: str, param: str) -> str:
    """An address that holds an image.

    Args:
        encoded: base64.
        param: where it stands in the request.

    Raises:
        InvalidRequestError: it is none of the kinds that models read.
    """
    kind = next((kind for beginning, kind in _BEGINNINGS if encoded.startswith(beginning)), None)
    if kind is None:
        raise InvalidRequestError(
            f"The image in {param!r} is not PNG, JPEG, GIF or WebP in base64; send one of these.", param=param
        )
    return f"data:{kind};base64,{encoded}"
