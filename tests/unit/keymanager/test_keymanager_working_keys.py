"""Sealing with a key: round trips, the documented format, and that nothing which was changed opens."""

import base64
import os

import pytest
from cryptography.hazmat.primitives import hashes, keywrap
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given
from hypothesis import strategies as st

from bascule_keymanager.transit.ciphertext import ALGORITHMS, Ciphertext, NotACiphertext
from bascule_keymanager.transit.working_key import KEY_BYTES, LengthRefused, NotOpened, WorkingKey, binds_context

KEY_ID, OTHER_ID = "7f3a6c1e-2b5d-4e8f-9a10-3c4d5e6f7a8b", "7f3a6c1e-2b5d-4e8f-9a10-3c4d5e6f7a8c"
RAW = bytes(range(32))
KEY = WorkingKey(KEY_ID, RAW)
KINDS = ("encrypted", *ALGORITHMS)
raw_keys = st.sampled_from(KEY_BYTES).flatmap(lambda size: st.binary(min_size=size, max_size=size))
contexts = st.text(max_size=40)
# What every kind seals.
plains = st.integers(2, 12).flatmap(lambda blocks: st.binary(min_size=blocks * 8, max_size=blocks * 8))


def context_of(kind, context):
    return context if binds_context(kind) else ""


@given(raw=raw_keys, kind=st.sampled_from(KINDS), plain=plains, context=contexts)
def test_what_is_sealed_opens_with_the_same_key_and_context(raw, kind, plain, context):
    key, context = WorkingKey(KEY_ID, raw), context_of(kind, context)
    text = str(key.seal(kind, plain, context))
    sealed = Ciphertext.parse(text)
    assert str(sealed) == text
    assert (sealed.kind, sealed.key_id) == (kind, KEY_ID)
    assert WorkingKey(KEY_ID, raw).open(sealed, context) == plain


@given(plain=st.binary(max_size=2_000), kind=st.sampled_from(["encrypted", "aes-gcm"]))
def test_any_length_is_encrypted_and_its_length_is_all_that_shows(plain, kind):
    sealed = KEY.seal(kind, plain)
    assert len(sealed.body) == 32 + len(plain) + 16
    assert KEY.open(sealed) == plain
    assert KEY.seal(kind, plain).body != sealed.body


@given(size=st.integers(1, 300))
def test_key_wrap_takes_the_lengths_of_its_standards(size):
    plain = os.urandom(size)
    assert KEY.open(KEY.seal("aes-kwp", plain)) == plain
    if size >= 16 and size % 8 == 0:
        assert KEY.open(KEY.seal("aes-kw", plain)) == plain
    else:
        with pytest.raises(LengthRefused):
            KEY.seal("aes-kw", plain)


@pytest.mark.parametrize("kind", KINDS)
def test_no_text_with_one_byte_changed_opens(kind):
    plain, context = b"sixteen bytes...", context_of(kind, "c")
    text = str(KEY.seal(kind, plain, context))
    tried = 0
    for place in range(len(text)):
        for other in {chr(ord(text[place]) ^ 1), chr(ord(text[place]) ^ 4), "A", "0", ":", "=", " ", "é", "\n"}:
            if other != text[place]:
                assert not opens(text[:place] + other + text[place + 1 :], context)
                tried += 1
    assert tried > 8 * len(text) - 200


@pytest.mark.parametrize("kind", KINDS)
def test_no_body_with_one_bit_changed_and_none_that_was_cut_or_lengthened_opens(kind):
    sealed = KEY.seal(kind, b"sixteen bytes...")
    for place in range(len(sealed.body)):
        for bit in range(8):
            body = bytearray(sealed.body)
            body[place] ^= 1 << bit
            assert not opens(str(replaced(sealed, bytes(body))))
        assert not opens(str(replaced(sealed, sealed.body[:place])))
        assert not opens(str(replaced(sealed, sealed.body[place:] if place else sealed.body + b"\0")))


def replaced(sealed, body):
    return Ciphertext(sealed.kind, sealed.key_id, sealed.fingerprint, body)


def opens(text, context=""):
    """Whether anything of this is opened: parsed as ours, of this key, and its seal holds."""
    try:
        sealed = Ciphertext.parse(text)
    except NotACiphertext:
        return False
    if (sealed.key_id, sealed.fingerprint) != (KEY_ID, KEY.fingerprint):
        return False
    try:
        KEY.open(sealed, context)
    except NotOpened:
        return False
    return True


@given(kind=st.sampled_from(["encrypted", "aes-gcm"]), one=contexts, two=contexts)
def test_it_opens_with_no_other_context(kind, one, two):
    sealed = KEY.seal(kind, b"p", one)
    if one == two:
        assert KEY.open(sealed, two) == b"p"
    else:
        with pytest.raises(NotOpened):
            KEY.open(sealed, two)


@given(kind=st.sampled_from(KINDS), plain=plains, other=raw_keys)
def test_it_opens_with_no_other_key(kind, plain, other):
    if other != RAW:
        stranger = WorkingKey(KEY_ID, other)
        assert stranger.fingerprint != KEY.fingerprint
        with pytest.raises(NotOpened):
            stranger.open(KEY.seal(kind, plain))


def test_what_was_encrypted_is_bound_to_its_secret_and_to_its_kind():
    sealed = KEY.seal("encrypted", b"p")
    for moved in (
        Ciphertext("aes-gcm", KEY_ID, sealed.fingerprint, sealed.body),
        Ciphertext("encrypted", OTHER_ID, sealed.fingerprint, sealed.body),
        Ciphertext("encrypted", KEY_ID, "0" * 16, sealed.body),
    ):
        with pytest.raises(NotOpened):
            KEY.open(moved)
    with pytest.raises(NotOpened):
        WorkingKey(OTHER_ID, RAW).open(Ciphertext("encrypted", OTHER_ID, sealed.fingerprint, sealed.body))


def test_a_ciphertext_opens_with_nothing_but_the_documented_format():
    text = str(KEY.seal("encrypted", b"the plaintext", "the context"))
    header, _, encoded = text.rpartition(":")
    body = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
    derived = HKDF(hashes.SHA256(), 44, body[:32], header.encode()).derive(RAW)
    opened = AESGCM(derived[:32]).decrypt(derived[32:], body[32:], header.encode() + b"\0the context")
    assert opened == b"the plaintext"
    assert header.split(":") == ["bascule", "1", "encrypted", KEY_ID, KEY.fingerprint]
    named = HKDF(hashes.SHA256(), 8, None, b"bascule:1:fingerprint").derive(RAW).hex()
    assert named == KEY.fingerprint


# RFC 3394, 4.6; RFC 5649, section 6.
VECTORS = [
    (
        "aes-kw",
        "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
        "00112233445566778899aabbccddeeff000102030405060708090a0b0c0d0e0f",
        "28c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326cbc7f0e71a99f43bfb988b9b7a02dd21",
    ),
    (
        "aes-kwp",
        "5840df6e29b02af1ab493b705bf16ea1ae8338f4dcc176a8",
        "c37b7e6492584340bed12207808941155068f738",
        "138bdeaa9b8fa7fc61f97742e72248ee5ae6ae5360d1ae6a5f54f373fa543b6a",
    ),
    (
        "aes-kwp",
        "5840df6e29b02af1ab493b705bf16ea1ae8338f4dcc176a8",
        "466f7250617369",
        "afbeb0f07dfbf5419200f2ccb50bb24f",
    ),
]


@pytest.mark.parametrize(("kind", "key", "plain", "wrapped"), VECTORS)
def test_wrapped_keys_are_those_of_the_standards(kind, key, plain, wrapped):
    working = WorkingKey(KEY_ID, bytes.fromhex(key))
    assert working.seal(kind, bytes.fromhex(plain)).body.hex() == wrapped
    foreign = Ciphertext(kind, KEY_ID, working.fingerprint, bytes.fromhex(wrapped))
    assert working.open(foreign).hex() == plain
    unwrap = keywrap.aes_key_unwrap if kind == "aes-kw" else keywrap.aes_key_unwrap_with_padding
    assert unwrap(bytes.fromhex(key), bytes.fromhex(wrapped)).hex() == plain


@given(text=st.text(max_size=120))
def test_other_texts_are_no_ciphertexts(text):
    with pytest.raises(NotACiphertext) as refusal:
        Ciphertext.parse(text)
    assert refusal.value.format_version is None


def test_a_newer_format_is_told_by_its_number():
    text = str(KEY.seal("encrypted", b"p")).replace("bascule:1:", "bascule:2:")
    with pytest.raises(NotACiphertext) as refusal:
        Ciphertext.parse(text)
    assert refusal.value.format_version == 2


def test_nothing_of_a_key_is_in_its_repr():
    shown = repr(KEY) + repr(KEY.seal("encrypted", b"hunter2"))
    assert RAW.hex() not in shown
    assert repr(RAW)[2:20] not in shown
    assert "hunter2" not in shown
    assert KEY_ID in shown


@pytest.mark.parametrize("size", [0, 8, 15, 31, 33, 64])
def test_only_keys_of_aes_work(size):
    with pytest.raises(AssertionError, match="length"):
        WorkingKey(KEY_ID, bytes(size))
