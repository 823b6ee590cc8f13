"""The name a part gives its file, or one made from its type."""

from __future__ import annotations

from connectors.mail.encoded_word import decode_header
from connectors.mail.structure import Part

_EXTENSIONS = {
    "text/plain": "txt", "text/html": "html", "text/calendar": "ics", "text/csv": "csv", "text/vcard": "vcf",
    "text/x-vcard": "vcf",
    "text/directory": "vcf", "text/rtf": "rtf", "application/rtf": "rtf", "text/xml": "xml", "application/xml": "xml",
    "application/json": "json", "application/pdf": "pdf", "application/zip": "zip", "application/gzip": "gz",
    "application/msword": "doc", "application/vnd.ms-excel": "xls", "application/vnd.ms-powerpoint": "ppt",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": "pptx",
    "application/pgp-signature": "asc", "application/pgp-encrypted": "asc", "application/pgp-keys": "asc",
    "application/pkcs7-signature": "p7s", "application/x-pkcs7-signature": "p7s", "application/pkcs7-mime": "p7m",
    "application/x-pkcs7-mime": "p7m", "application/ms-tnef": "dat", "application/vnd.ms-tnef": "dat",
    "image/jpeg": "jpg", "image/jpg": "jpg", "image/pjpeg": "jpg", "image/png": "png", "image/gif": "gif",
    "image/webp": "webp",
    "image/bmp": "bmp", "image/tiff": "tiff", "image/svg+xml": "svg", "image/heic": "heic", "audio/mpeg": "mp3",
    "audio/wav": "wav", "audio/x-wav": "wav", "audio/basic": "au", "audio/amr": "amr", "audio/ogg": "ogg",
    "video/mp4": "mp4",
    "video/mpeg": "mpg", "video/quicktime": "mov", "message/rfc822": "eml", "message/global": "eml",
    "message/news": "eml",
    "message/partial": "txt", "message/external-body": "txt", "message/delivery-status": "txt",
    "text/rfc822-headers": "txt",
    "message/disposition-notification": "txt", "message/feedback-report": "txt", "application/applefile": "applefile",
}  # fmt: skip
_STEMS = {
    "message/delivery-status": "delivery-status", "message/disposition-notification": "disposition-notification",
    "message/feedback-report": "feedback-report", "text/rfc822-headers": "headers", "text/calendar": "invitation",
    "application/ms-tnef": "winmail", "application/vnd.ms-tnef": "winmail", "application/pgp-signature": "signature",
    "application/pkcs7-signature": "smime", "application/x-pkcs7-signature": "smime",
    "application/pkcs7-mime": "smime",
    "application/x-pkcs7-mime": "smime",
}  # fmt: skip
MAX_NAME = 1000


def file_name(part: Part, hint: str = "", number: int | None = None) -> str:
    """The part's own name, as the sender wrote it (make it safe before use); `""` if it has none and no `number` is
    given, else a made one."""
    for parameters in (part.disposition[1], part.parameters):
        for key in ("filename", "name"):
            name = parameters.get(key, "").strip()
            if name:
                return name[:MAX_NAME]
    if number is None:
        return ""
    location = part.fields.raw("content-location")
    if location is not None:
        name = decode_header(location, hint).partition("?")[0].rstrip("/").rpartition("/")[2]
        if 0 < len(name) <= 100 and "." in name:
            return name
    extension = _EXTENSIONS.get(part.media, "bin")
    stem = _STEMS.get(part.media) or ("image" if part.media.startswith("image/") else "attachment")
    return f"{stem}-{number}.{extension}"
