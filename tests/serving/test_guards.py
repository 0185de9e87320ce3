"""Who may ask: hosts, origins and tokens."""

from typing import Any

import pytest

from fieldmark.base.errors import ServeError
from fieldmark.serving.guards import HEADERS, guard_config, is_local

TOKEN = "c0rrect-horse"


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "LOCALHOST", "[::1]:8000", "127.0.0.1"])
def test_the_names_of_this_machine_are_known(serving: Any, host: str) -> None:
    with serving() as client:
        assert client.get("/about", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "10.0.0.1", "", "[::2]"]
)
def test_another_name_is_refused_so_that_no_page_can_rebind_one(serving: Any, host: str) -> None:
    with serving() as client:
        response = client.get("/about", headers={"host": host})
        assert response.status_code == 421
        assert "--allow-host" in response.json()["error"]


def test_a_further_name_can_be_allowed(serving: Any) -> None:
    guard = guard_config("127.0.0.1", token=None, allow_hosts=("Photos.example",))
    with serving(guard=guard) as client:
        assert client.get("/about", headers={"host": "photos.EXAMPLE:80"}).status_code == 200


def test_one_that_listens_everywhere_is_known_by_any_address_but_not_by_any_name(
    serving: Any,
) -> None:
    guard = guard_config("0.0.0.0", token=TOKEN)
    with serving(guard=guard) as client:
        headers = {"authorization": f"Bearer {TOKEN}"}
        assert client.get("/about", headers={**headers, "host": "10.1.2.3:80"}).status_code == 200
        assert client.get("/about", headers={**headers, "host": "a.example"}).status_code == 421


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:8001", "http://localhost.evil"]
)
def test_pages_of_other_sites_may_not_ask(serving: Any, red: bytes, origin: str) -> None:
    with serving() as client:
        response = client.post("/predict", content=red, headers={"origin": origin})
        assert response.status_code == 403
        assert "access-control-allow-origin" not in response.headers


def test_the_page_itself_may_ask(client: Any, red: bytes) -> None:
    headers = {"origin": "http://127.0.0.1:8000"}
    assert client.post("/predict", content=red, headers=headers).status_code == 200


def test_a_site_that_was_allowed_may_ask_and_is_told_so(serving: Any, red: bytes) -> None:
    site = "https://shop.example"
    guard = guard_config("127.0.0.1", token=TOKEN, allow_origins=(site,))
    with serving(guard=guard) as client:
        asked = {"origin": site, "access-control-request-method": "POST"}
        preflight = client.options("/predict", headers=asked)
        assert preflight.status_code == 204
        assert preflight.headers["access-control-allow-origin"] == site
        assert "authorization" in preflight.headers["access-control-allow-headers"]
        headers = {"origin": site, "authorization": f"Bearer {TOKEN}"}
        response = client.post("/predict", content=red, headers=headers)
        assert response.headers["access-control-allow-origin"] == site
        other = client.options("/predict", headers={"origin": "https://other.example"})
        assert other.status_code == 403


@pytest.mark.parametrize(
    "given", [None, "Bearer wrong", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x", "Bearer é"]
)
def test_without_the_right_token_nothing_is_answered(
    serving: Any, red: bytes, given: str | None
) -> None:
    with serving(guard=guard_config("127.0.0.1", token=TOKEN)) as client:
        headers = {} if given is None else {"authorization": given.encode("latin-1")}
        for response in (
            client.post("/predict", content=red, headers=headers),
            client.get("/about", headers=headers),
            client.get("/metrics", headers=headers),
            client.get("/v2/models/colours", headers=headers),
        ):
            assert response.status_code == 401
            assert response.headers["www-authenticate"] == "Bearer"
            assert list(response.json()) == ["error"]


def test_with_the_token_all_is_answered_and_health_and_page_without(
    serving: Any, red: bytes
) -> None:
    with serving(guard=guard_config("127.0.0.1", token=TOKEN)) as client:
        headers = {"authorization": f"bearer {TOKEN}"}
        assert client.post("/predict", content=red, headers=headers).status_code == 200
        assert client.get("/v2/health/ready").status_code == 200
        assert client.get("/").status_code == 200


def test_every_answer_keeps_the_browser_to_itself(client: Any, red: bytes) -> None:
    for response in (
        client.get("/"),
        client.post("/predict", content=red),
        client.get("/nothing"),
        client.get("/about", headers={"host": "evil.example"}),
    ):
        for name, value in HEADERS:
            assert response.headers[name.decode()] == value.decode()
    policy = client.get("/").headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy


def test_others_are_let_in_only_with_a_token() -> None:
    for host in ("0.0.0.0", "::", "192.168.1.5", "photos.example", ""):
        with pytest.raises(ServeError, match="a token is required"):
            guard_config(host, token=None)
        assert guard_config(host, token=TOKEN).token == TOKEN
    for host in ("127.0.0.1", "127.8.8.8", "::1", "localhost"):
        assert is_local(host)
        assert guard_config(host, token=None).token is None


@pytest.mark.parametrize("token", ["two words", "naïve", "line\n"])
def test_a_token_that_no_header_can_carry_is_refused(token: str) -> None:
    with pytest.raises(ServeError, match="printable ASCII"):
        guard_config("127.0.0.1", token=token)


@pytest.mark.parametrize("origin", ["*", "example.org", "https://example.org/", "file:///x"])
def test_an_origin_that_is_none_is_refused(origin: str) -> None:
    with pytest.raises(ServeError, match="--allow-origin"):
        guard_config("127.0.0.1", token=None, allow_origins=(origin,))
