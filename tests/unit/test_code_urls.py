"""URLs: the site's map of prefixes, and what is shown of a URL."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.net import urls

WORDS = st.text("abcdefXYZ0123456789-_", min_size=1, max_size=12)
SECRETS = st.text("abcdefXYZ0123456789:%-_", min_size=6, max_size=20)


@given(WORDS, WORDS)
def test_the_longest_prefix_wins_whatever_the_order(first: str, second: str) -> None:
    short, long = f"https://{first}/", f"https://{first}/{second}/"
    for prefixes in ({short: "http://a/", long: "http://b/"},
                     {long: "http://b/", short: "http://a/"}):
        assert urls.mapped(f"{long}x", prefixes) == "http://b/x"
        assert urls.mapped(f"{short}-x", prefixes) == "http://a/-x"


@given(WORDS)
def test_what_no_prefix_fits_stays(host: str) -> None:
    url = f"https://{host}.example.org/x"
    assert urls.mapped(url, {"https://other.example.com/": "http://a/"}) == url


@given(SECRETS, WORDS)
def test_no_user_and_no_password_is_shown(secret: str, path: str) -> None:
    shown = urls.redact(f"https://{secret}@example.org/{path}?x=1#y")
    assert shown == f"https://example.org/{path}?x=1#y"


@given(SECRETS, WORDS, st.sampled_from(["https://", "https://example.org/"]))
def test_a_login_does_not_go_to_another_address(secret: str, path: str, prefix: str) -> None:
    url = f"https://{secret}@example.org/{path}"
    assert urls.mapped(url, {prefix: "http://a/"}) == "http://a/" + urls.redact(url)[len(prefix):]


@given(SECRETS, st.sampled_from(["token", "X-Amz-Signature", "sig", "access_token", "Password",
                                 "X-Amz-Credential", "client_secret"]))
def test_no_token_in_the_query_is_shown(secret: str, name: str) -> None:
    shown = urls.redact(f"https://example.org/a?part=2&{name}=SECRET{secret}")
    assert f"SECRET{secret}" not in shown
    assert shown.startswith("https://example.org/a?part=2&")


@given(st.text())
def test_any_text_can_be_redacted(text: str) -> None:
    assert urls.redact(f"https://u:p@{text}") is not None


@pytest.mark.parametrize(("url", "held"), [
    ("https://user:word@host/x", True), ("https://token@host/x", True),
    ("ssh://git@host/x", False), ("ssh://git:word@host/x", True), ("git@host:x", False),
    ("https://host/a@b", False)])
def test_a_password_is_seen(url: str, held: bool) -> None:
    assert urls.has_password(url) is held


@pytest.mark.parametrize(("text", "expected"), [
    ("https://x", True), ("s3://x", True), ("FTP://x", True), ("C:/x", False), ("a b://x", False),
    ("", False), ("x/https://y", False)])
def test_a_url_starts_with_a_scheme(text: str, expected: bool) -> None:
    assert urls.is_url(text) is expected
