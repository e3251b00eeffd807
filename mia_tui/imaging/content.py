"""What a file is by its first bytes, whatever its name says."""

from pathlib import Path

from mia_tui.errors import MiaError

# Source of the signatures: the formats' specifications; vendors' as listed by Bio-Formats.
_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"BM", "BMP"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
    (b"II+\x00", "TIFF"),
    (b"MM\x00+", "TIFF"),
    (b"ZISRAWFILE", "CZI"),
    (b"\xda\xce\xbe\x0a", "ND2"),
    (b"\x00\x00\x00\x0cjP  ", "JPEG 2000"),
    (b"\x70\x00\x00\x00", "LIF"),
    (b"\xd0\xcf\x11\xe0", "OIB or ZVI"),
    (b"\x89HDF", "HDF5"),
    (b"GIF8", "GIF"),
    (b"PK\x03\x04", "ZIP"),
    (b"%PDF", "PDF"),
)
_BY_SUFFIX = {
    ".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".bmp": "BMP", ".tif": "TIFF", ".tiff": "TIFF",
}  # fmt: skip
_SUFFIX_OF = {"PNG": ".png", "JPEG": ".jpg", "BMP": ".bmp", "TIFF": ".tif"}
READABLE = frozenset(_SUFFIX_OF)


def content_of(path: Path) -> str:
    """The format of a file, one of `READABLE`, from its first bytes.

    Raises
    ------
    MiaError
        When the file is missing, empty, of a format that is not read, or of another than its extension says.
    """
    try:
        with open(path, "rb") as stream:
            head = stream.read(16)
    except FileNotFoundError:
        raise MiaError(f"{path} does not exist.") from None
    except OSError as error:
        raise MiaError(f"{path} cannot be opened: {error.strerror or error}.") from None
    if not head:
        raise MiaError(f"{path} is empty (0 bytes). Copy it again from where it came.")
    found = next((name for signature, name in _SIGNATURES if head.startswith(signature)), None)
    said = _BY_SUFFIX.get(path.suffix.lower())
    if found not in READABLE:
        raise MiaError(_unreadable(path, found, said))
    if said not in (None, found):
        raise MiaError(f"{path} is {found} inside, not {said}. Rename it to {path.stem}{_SUFFIX_OF[str(found)]}.")
    return str(found)


def _unreadable(path: Path, found: str | None, said: str | None) -> str:
    if found is None and said is not None:
        return f"{path} is not a {said} image: it is damaged or something else. Copy it again from where it came."
    kind = found or f"{path.suffix or 'this kind of'} files"
    return (
        f"{path}: {kind} is not read here. Save it as OME-TIFF, with Fiji (File > Save As > OME-TIFF) or with "
        f"bfconvert {path.name} {path.stem}.ome.tif."
    )
