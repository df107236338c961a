"""A signed C2PA manifest: that part of a photo is invented, by which weights, and from which photo.

What the file's XMP says too, but bound to the pixels and to the key of whoever signs. Works offline: no time stamp, no
look-up. Source: C2PA specification 2.2, actions `c2pa.opened` and `c2pa.edited`; needs `pip install 'facefill[c2pa]'`.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from facefill.errors import InputError
from facefill.files.xmp import COMPOSITE, Provenance

_KINDS = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp", "AVIF": "image/avif", "TIFF": "image/tiff",
          "HEIF": "image/heif"}
_CURVES = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}
_FIX = "give a PEM file with your private key and its certificate chain, the key's own certificate first"


@dataclass(frozen=True)
class Signature:
    """Whose name stands under a photo: a private key and its certificates, both PEM, and the C2PA algorithm."""

    key: bytes = field(repr=False)
    certificates: bytes
    algorithm: str


def read_signature(path: Path | str) -> Signature:
    """The key and certificates of one PEM file, checked as far as that goes without signing.

    Raises InputError where the package is missing, and for a file that is no such thing.
    """
    _need_c2pa()
    from cryptography.hazmat.primitives import serialization

    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise InputError("a PEM file to sign with", f"{path} ({error.strerror})", _FIX) from None
    found = re.finditer(rb"-----BEGIN ([A-Z ]+)-----.*?-----END \1-----\n?", data, re.DOTALL)
    blocks = [(block[1], block[0]) for block in found]
    keys = [block for name, block in blocks if name.endswith(b"PRIVATE KEY")]
    certificates = [block for name, block in blocks if name == b"CERTIFICATE"]
    if len(keys) != 1 or not certificates:
        raise InputError("one private key and its certificates",
                         f"{len(keys)} and {len(certificates)} in {path}", _FIX)
    try:
        key: Any = serialization.load_pem_private_key(keys[0], None)
    except (ValueError, TypeError) as error:
        raise InputError("a private key without a password", f"{path} ({error})", _FIX) from None
    kind = type(key).__name__
    algorithm = "ps256" if "RSA" in kind else "ed25519" if "Ed25519" in kind else _CURVES.get(
        getattr(getattr(key, "curve", None), "name", ""))
    if algorithm is None:
        raise InputError("an RSA, Ed25519 or NIST elliptic key", f"another in {path}", _FIX)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return Signature(pem, b"".join(certificates), algorithm)


def sign(
    data: bytes, format: str, signature: Signature, provenance: Provenance, title: str,
    original: tuple[bytes, str] | None = None,
) -> bytes:
    """The file with a manifest that says what was completed, by what, and from which photo.

    data: a completed photo's file of that format (a key of `photo.FORMATS`). title: its name. original: the bytes and
    format of the photo that it was made from; it becomes the manifest's parent, of which the hash goes in and no
    thumbnail, which would still show the old face.
    Raises InputError for a format that holds no manifest and for certificates that C2PA does not accept.
    """
    _need_c2pa()
    import c2pa

    from facefill import __version__

    if format not in _KINDS:
        raise InputError("a format that holds a C2PA manifest", format, f"write one of {', '.join(_KINDS)}")
    tool = {"name": "facefill", "version": __version__}
    parameters = {"method": provenance.method, "weights_sha256": provenance.weights_sha256, "seed": provenance.seed}
    edited = {"action": "c2pa.edited", "digitalSourceType": COMPOSITE, "softwareAgent": tool, "parameters": parameters}
    manifest = {"claim_generator_info": [tool], "title": title,
                "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": [edited]}}]}
    context = c2pa.Context(settings=c2pa.Settings.from_dict({"builder": {"thumbnail": {"enabled": False}}}))
    info = c2pa.C2paSignerInfo(signature.algorithm.encode(), signature.certificates, signature.key, None)
    signed = io.BytesIO()
    try:
        with c2pa.Signer.from_info(info) as signer, c2pa.Builder(manifest, context=context) as builder:
            builder.set_intent(c2pa.C2paBuilderIntent.EDIT)
            if original and original[1] in _KINDS:
                parent = {"title": "the photo before", "relationship": "parentOf"}
                builder.add_ingredient(parent, _KINDS[original[1]], io.BytesIO(original[0]))
            builder.sign(signer, _KINDS[format], io.BytesIO(data), signed)
    except c2pa.C2paError as error:
        said = " ".join(str(error).split())
        raise InputError("a key and certificates that C2PA accepts", said, _FIX) from error
    return signed.getvalue()


def _need_c2pa() -> None:
    try:
        import c2pa  # noqa: F401
        import cryptography  # noqa: F401
    except ImportError:
        raise InputError("the package c2pa-python", "none installed", "pip install 'facefill[c2pa]'") from None
