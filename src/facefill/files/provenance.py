"""A signed C2PA manifest: that part of a photo is invented, by which weights, and from which photo.

What the file's XMP says too, but bound to the pixels and to the key of whoever signs. Works offline: no time stamp, no
look-up. Source: C2PA specification 2.2, actions `c2pa.opened` and `c2pa.edited`; needs `pip install 'facefill[c2pa]'`.
"""

import io
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from facefill.errors import InputError, explained
from facefill.files.formats import FORMATS
from facefill.files.xmp import COMPOSITE, Provenance

_ALGORITHMS = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512", "Ed25519": "ed25519", "RSA": "ps256"}
_PARENT = "the photo before"
_FIX = "give a PEM file with your private key and its certificate chain, the key's own certificate first"


@dataclass(frozen=True)
class Signature:
    """Whose name stands under a photo: a private key and its certificates, both PEM, and the C2PA algorithm."""

    key: bytes = field(repr=False)
    certificates: bytes
    algorithm: str


def read_signature(path: Path | str) -> Signature:
    """The key and certificates of a PEM file, checked without signing. Raises InputError, also without the package."""
    _need_c2pa()
    from cryptography.hazmat.primitives import serialization

    with explained("a PEM file to sign with", path, _FIX):
        data = Path(path).read_bytes()
    found = re.finditer(rb"-----BEGIN ([A-Z ]+)-----.*?-----END \1-----\n?", data, re.DOTALL)
    blocks = [(block[1], block[0]) for block in found]
    keys = [block for name, block in blocks if name.endswith(b"PRIVATE KEY")]
    certificates = [block for name, block in blocks if name == b"CERTIFICATE"]
    if len(keys) != 1 or not certificates:
        raise InputError("one private key and its certificates", f"{len(keys)} and {len(certificates)} in {path}", _FIX)
    try:
        key: Any = serialization.load_pem_private_key(keys[0], None)
    except (ValueError, TypeError) as error:
        raise InputError("a private key without a password", f"{path} ({error})", _FIX) from None
    kind = type(key).__name__.removesuffix("PrivateKey").lstrip("_")
    algorithm = _ALGORITHMS.get(getattr(getattr(key, "curve", None), "name", kind))
    if algorithm is None:
        raise InputError("an RSA, Ed25519 or NIST elliptic key", f"another in {path}", _FIX)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return Signature(pem, b"".join(certificates), algorithm)


def sign(
    data: bytes,
    format: str,
    signature: Signature,
    provenance: Provenance,
    title: str,
    original: tuple[bytes, str] | None = None,
) -> bytes:
    """The file with a manifest that says what was completed, by what, and from which photo.

    data: a completed photo's file of that format (a key of `photo.FORMATS`). title: its name. original: the bytes and
    format of the photo that it was made from; it becomes the manifest's parent, with its own manifest and its hash.
    No thumbnail goes in, which would still show the old face: those of the parent's manifest are redacted, and a
    manifest that holds other pictures stays out.
    Raises InputError for a format that holds no manifest and for certificates that C2PA does not accept.
    """
    _need_c2pa()
    import c2pa

    holding = [name for name, entry in FORMATS.items() if entry.metadata]
    if format not in holding:
        raise InputError("a format that holds a C2PA manifest", format, f"write one of {', '.join(holding)}")
    if original and original[1] in holding:
        try:
            redacted = _thumbnails_of(*original)
            signed = _build(data, format, signature, _manifest(provenance, title, {"redactions": redacted}), original)
            if _count_pictures(signed) <= _count_pictures(data):
                return signed
        except c2pa.C2paError:  # its manifest cannot be read: it is named without it
            pass
    parent = {"title": _PARENT, "relationship": "parentOf", "instance_id": "xmp:iid:before"}
    try:
        return _build(data, format, signature, _manifest(provenance, title, {"ingredients": [parent]}))
    except c2pa.C2paError as error:
        said = " ".join(str(error).split())
        raise InputError("a key and certificates that C2PA accepts", said, _FIX) from error


def _manifest(provenance: Provenance, title: str, more: dict[str, Any]) -> dict[str, Any]:
    from facefill import __version__

    tool = {"name": "facefill", "version": __version__}
    parameters = {"method": provenance.method, "weights_sha256": provenance.weights_sha256, "seed": provenance.seed}
    edited = {"action": "c2pa.edited", "digitalSourceType": COMPOSITE, "softwareAgent": tool, "parameters": parameters}
    return {
        "claim_generator_info": [tool],
        "title": title,
        "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": [edited]}}],
    } | more


def _build(
    data: bytes, format: str, signature: Signature, manifest: dict[str, Any], original: tuple[bytes, str] | None = None
) -> bytes:
    import c2pa

    context = c2pa.Context(settings=c2pa.Settings.from_dict({"builder": {"thumbnail": {"enabled": False}}}))
    info = c2pa.C2paSignerInfo(signature.algorithm.encode(), signature.certificates, signature.key, None)
    signed = io.BytesIO()
    with c2pa.Signer.from_info(info) as signer, c2pa.Builder(manifest, context=context) as builder:
        builder.set_intent(c2pa.C2paBuilderIntent.EDIT)
        if original:
            parent = {"title": _PARENT, "relationship": "parentOf"}
            builder.add_ingredient(parent, FORMATS[original[1]].media_type, io.BytesIO(original[0]))
        builder.sign(signer, FORMATS[format].media_type, io.BytesIO(data), signed)
    return signed.getvalue()


def _thumbnails_of(data: bytes, format: str) -> list[str]:
    """Where in a file's manifests thumbnails are, as JUMBF addresses; none where it holds no manifest."""
    import c2pa

    try:
        with c2pa.Reader(FORMATS[format].media_type, io.BytesIO(data)) as reader:
            said = reader.json()
    except c2pa.C2paError:
        return []
    found = re.findall(r'"identifier":\s*"(self#jumbf=/c2pa/[^"]*c2pa\.thumbnail[^"]*)"', said)
    return list(dict.fromkeys(found))


def _count_pictures(data: bytes) -> int:
    return sum(data.count(start) for start in (b"\xff\xd8\xff", b"\x89PNG", b"WEBPVP8", b"ftypavif", b"ftypheic"))


def _need_c2pa() -> None:
    try:
        import c2pa  # noqa: F401
        import cryptography  # noqa: F401
    except ImportError:
        raise InputError("the package c2pa-python", "none installed", "pip install 'facefill[c2pa]'") from None
