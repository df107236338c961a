"""Signed manifests: they hold, they say what was invented, and they show nothing of the old face."""

from __future__ import annotations

import datetime
import io
import json
import sys
from pathlib import Path

import c2pa
import numpy as np
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from facefill.errors import InputError
from facefill.files.photo import Provenance, encode_photo, read_photo, write_photo
from facefill.files.provenance import Signature, read_signature, sign

MADE = Provenance("swift", "ab" * 32, 7)
START, END = datetime.datetime(2026, 1, 1), datetime.datetime(2126, 1, 1)


def certify(subject: str, key: object, issuer: str, issuing_key: object, *, authority: bool) -> bytes:
    """A certificate as C2PA asks for it."""
    names = [
        x509.Name(
            [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "tests"), x509.NameAttribute(NameOID.COMMON_NAME, name)]
        )
        for name in (subject, issuer)
    ]
    usage = x509.KeyUsage(not authority, False, False, False, False, authority, authority, False, False)
    public = key.public_key()  # type: ignore[attr-defined]
    built = (
        x509.CertificateBuilder(names[1], names[0], public, 1 + authority, START, END)
        .add_extension(x509.BasicConstraints(authority, None), True)
        .add_extension(usage, True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuing_key.public_key()), False)  # type: ignore[attr-defined]
    )
    return built.sign(issuing_key, hashes.SHA256()).public_bytes(Encoding.PEM)


def write_key(path: Path, key: object, *, of: object = None, password: bytes | None = None) -> Path:
    """A PEM file: the key, its certificate (or that `of` another key), and the certificate of who issued that."""
    root = ec.generate_private_key(ec.SECP256R1())
    ours = certify("somebody", of or key, "root", root, authority=False)
    lock: KeySerializationEncryption = BestAvailableEncryption(password) if password else NoEncryption()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, lock)  # type: ignore[attr-defined]
    path.write_bytes(private + ours + certify("root", root, "root", root, authority=True))
    return path


@pytest.fixture(scope="module")
def signature(tmp_path_factory: pytest.TempPathFactory) -> Signature:
    path = tmp_path_factory.mktemp("key") / "key.pem"
    return read_signature(write_key(path, ec.generate_private_key(ec.SECP256R1())))


def photo_and_hole(format: str) -> tuple[bytes, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 255, (48, 64, 3), np.uint8)
    hole = np.zeros((48, 64), bool)
    hole[16:32, 16:32] = True
    data, _ = encode_photo(read_photo(picture), picture, np.ones((48, 64), bool), format=format)
    return data, np.full_like(picture, 90), hole


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_a_signed_photo_holds_and_says_what_was_invented(format: str, signature: Signature, tmp_path: Path) -> None:
    data, completed, hole = photo_and_hole(format)
    suffix = {"JPEG": ".jpg", "TIFF": ".tif"}.get(format, f".{format.lower()}")
    (tmp_path / f"in{suffix}").write_bytes(data)
    photo = read_photo(tmp_path / f"in{suffix}")
    signed, plain = tmp_path / f"signed{suffix}", tmp_path / f"plain{suffix}"
    write_photo(photo, completed, hole, signed, provenance=MADE, signature=signature)
    write_photo(photo, completed, hole, plain, provenance=MADE)
    with c2pa.Reader(signed) as reader:
        assert reader.get_validation_state() == "Valid"
        said = json.loads(reader.json())
    manifest = said["manifests"][said["active_manifest"]]
    (stated,) = (one["data"] for one in manifest["assertions"] if one["label"] == "c2pa.actions.v2")
    opened, edited = stated["actions"]
    assert (opened["action"], edited["action"]) == ("c2pa.opened", "c2pa.edited")
    assert edited["digitalSourceType"].endswith("/compositeWithTrainedAlgorithmicMedia")
    assert edited["parameters"] == {"method": "swift", "weights_sha256": "ab" * 32, "seed": 7}
    assert [one["relationship"] for one in manifest["ingredients"]] == ["parentOf"]
    assert "thumbnail" not in json.dumps(said), "it would show the old face"
    assert (read_photo(signed).pixels == read_photo(plain).pixels).all()


def test_a_changed_pixel_breaks_it(signature: Signature) -> None:
    signed = bytearray(sign(photo_and_hole("JPEG")[0], "JPEG", signature, MADE, "photo.jpg"))
    signed[-40] ^= 1
    with c2pa.Reader("image/jpeg", io.BytesIO(bytes(signed))) as reader:
        assert reader.get_validation_state() == "Invalid"


def photographed(format: str, signature: Signature, *, thumbnail: bool) -> bytes:
    """A photo that a camera signed."""
    kind = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}[format]
    created = {
        "action": "c2pa.created",
        "digitalSourceType": "http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture",
    }
    manifest = {
        "claim_generator_info": [{"name": "camera", "version": "1"}],
        "title": "as it was",
        "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": [created]}}],
    }
    settings = c2pa.Settings.from_dict({"builder": {"thumbnail": {"enabled": thumbnail}}})
    info = c2pa.C2paSignerInfo(signature.algorithm.encode(), signature.certificates, signature.key, None)
    signed = io.BytesIO()
    with c2pa.Signer.from_info(info) as signer, c2pa.Builder(manifest, context=c2pa.Context(settings=settings)) as made:
        made.sign(signer, kind, io.BytesIO(photo_and_hole(format)[0]), signed)
    return signed.getvalue()


@pytest.mark.parametrize("thumbnail", [False, True])
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_a_manifest_that_came_with_the_photo_goes_or_becomes_an_ingredient(
    format: str, thumbnail: bool, signature: Signature
) -> None:
    source = photographed(format, signature, thumbnail=thumbnail)
    kind = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}[format]
    photo = read_photo(source)
    _, completed, hole = photo_and_hole(format)
    plain, notes = encode_photo(photo, completed, hole, provenance=MADE)
    assert "Content Credentials of the photo before" in " ".join(notes)
    with pytest.raises(c2pa.C2paError):
        c2pa.Reader(kind, io.BytesIO(plain))
    signed, notes = encode_photo(photo, completed, hole, provenance=MADE, signature=signature)
    assert "Content Credentials" not in " ".join(notes)
    with c2pa.Reader(kind, io.BytesIO(signed)) as reader:
        assert reader.get_validation_state() == "Valid"
        said = json.loads(reader.json())
    (parent,) = said["manifests"][said["active_manifest"]]["ingredients"]
    assert said["manifests"][parent["active_manifest"]]["title"] == "as it was"
    assert len(signed) < len(plain) + 40_000
    assert signed.count(b"\xff\xd8\xff") == plain.count(b"\xff\xd8\xff"), "a thumbnail would still show the old face"


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [
        (rsa.generate_private_key(65537, 2048), "ps256"),
        (ed25519.Ed25519PrivateKey.generate(), "ed25519"),
        (ec.generate_private_key(ec.SECP384R1()), "es384"),
    ],
)
def test_other_kinds_of_keys_sign_too(key: object, algorithm: str, tmp_path: Path) -> None:
    other = read_signature(write_key(tmp_path / "key.pem", key))
    assert other.algorithm == algorithm
    signed = sign(photo_and_hole("PNG")[0], "PNG", other, MADE, "photo.png")
    with c2pa.Reader("image/png", io.BytesIO(signed)) as reader:
        assert reader.get_validation_state() == "Valid"


def test_what_cannot_sign_is_one_line_and_nothing_is_written(
    signature: Signature, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    with pytest.raises(InputError, match="0 and 0 in"):
        read_signature(Path(__file__))
    with pytest.raises(InputError, match="a PEM file to sign with"):
        read_signature(tmp_path / "none.pem")
    with pytest.raises(InputError, match="without a password"):
        read_signature(write_key(tmp_path / "locked.pem", key, password=b"secret"))
    with pytest.raises(InputError, match="an RSA, Ed25519 or NIST elliptic key"):
        read_signature(write_key(tmp_path / "odd.pem", ec.generate_private_key(ec.SECP256K1())))
    data, completed, hole = photo_and_hole("PNG")
    theirs = ec.generate_private_key(ec.SECP256R1())
    mixed = read_signature(write_key(tmp_path / "mixed.pem", key, of=theirs))
    for path, wrong, said in (("out.png", mixed, "that C2PA accepts"), ("out.bmp", signature, "got BMP")):
        with pytest.raises(InputError, match=said) as refused:
            write_photo(read_photo(data), completed, hole, tmp_path / path, provenance=MADE, signature=wrong)
        assert "\n" not in str(refused.value)
        assert not (tmp_path / path).exists()
    monkeypatch.setitem(sys.modules, "c2pa", None)
    with pytest.raises(InputError, match=r"facefill\[c2pa\]"):
        read_signature(tmp_path / "mixed.pem")
