"""Broken connections, told apart by whether the order can have arrived. Real sockets, no mock."""

import json
import socket
import ssl
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from ipaddress import ip_address
from pathlib import Path

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from apps.connectors.bitmart import open_exchange, transport
from apps.connectors.bitmart.client import Client
from apps.connectors.bitmart.futures import FuturesExchange
from apps.connectors.bitmart.signing import signature
from apps.connectors.budget import Priority, priority
from apps.connectors.exchange import (
    Credentials,
    CredentialsError,
    Exchange,
    ExchangeError,
    Market,
    NotSentError,
    OrderRequest,
    OrderType,
    RequestTrace,
    Side,
    UnreachableError,
)
from tests.connectors.bitmart.raw_server import Behaviour, read_request, reply, reset, serving
from tests.connectors.bitmart.venue import AGENT, KEY, MEMO, NOW_MS, SECRET, client, futures, spot

ORDER = OrderRequest(
    client_order_id="tv1", symbol="BTC_USDT", side=Side.SELL, order_type=OrderType.MARKET, quantity=Decimal(1)
)
ACCEPTED = reply(b'{"code":1000,"message":"OK","trace":"abc","data":{"order_id":"5"}}')


def submit_fails(base_url: str) -> ExchangeError:
    exchange = spot(base_url)
    with pytest.raises(ExchangeError) as caught:
        exchange.submit(ORDER, signed_at_ms=NOW_MS)
    exchange.close()
    return caught.value


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def test_a_refused_connection_sent_nothing() -> None:
    error = submit_fails(f"http://127.0.0.1:{free_port()}")

    assert type(error) is NotSentError
    assert error.sentence == "BitMart could not be reached (connection refused). Nothing was sent."


def test_a_name_that_does_not_resolve_sent_nothing() -> None:
    error = submit_fails("https://no-such-host.invalid")

    assert type(error) is NotSentError


def test_a_connection_that_takes_too_long_sent_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> socket.socket:
        raise TimeoutError("timed out")

    monkeypatch.setattr("urllib3.util.connection.create_connection", never)

    error = submit_fails("http://127.0.0.1:9")

    assert type(error) is NotSentError
    assert "in time" in error.sentence


@pytest.mark.parametrize("scheme_answer", [b"HTTP/1.1 200 OK\r\n\r\n", b""])
def test_a_failed_handshake_sent_nothing(scheme_answer: bytes) -> None:
    def no_tls(peer: socket.socket, _: bytes) -> None:
        peer.recv(65536)
        peer.sendall(scheme_answer)
        peer.close()

    with serving(no_tls, scheme="https", wait_for_request=False) as server:
        error = submit_fails(server.base_url)

    assert type(error) is NotSentError


@pytest.mark.parametrize("is_trusted", [False, True])
def test_nothing_is_sent_to_who_has_no_trusted_certificate(
    is_trusted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, identity = _identity_of_localhost(tmp_path)
    if is_trusted:
        monkeypatch.setattr("requests.adapters.DEFAULT_CA_BUNDLE_PATH", str(certificate))
    arrived: list[bytes] = []

    def speak(peer: socket.socket, _: bytes) -> None:
        with identity.wrap_socket(peer, server_side=True) as encrypted:
            while request := read_request(encrypted):
                arrived.append(request)
                encrypted.sendall(ACCEPTED)

    with serving(speak, scheme="https", wait_for_request=False) as server:
        exchange = spot(server.base_url)
        for _ in range(2):
            if is_trusted:
                assert exchange.submit(ORDER, signed_at_ms=NOW_MS).exchange_order_id == "5"
            else:
                with pytest.raises(NotSentError) as caught:
                    exchange.submit(ORDER, signed_at_ms=NOW_MS)
                assert "(no trusted encrypted connection). Nothing was sent." in caught.value.sentence
        exchange.close()

    assert len(arrived) == (2 if is_trusted else 0)


def _identity_of_localhost(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """Make a certificate that nobody signed; return its file and what a server shows it with."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    public, private = folder / "certificate.pem", folder / "key.pem"
    public.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    identity = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    identity.load_cert_chain(public, private)
    return public, identity


def test_a_handshake_without_an_answer_sent_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "CONNECT_TIMEOUT_S", 0.1)
    monkeypatch.setattr(transport, "READ_TIMEOUT_S", 0.1)
    done = threading.Event()

    with serving(lambda *_: bool(done.wait(5)) and None, scheme="https", wait_for_request=False) as server:
        error = submit_fails(server.base_url)
        done.set()

    assert type(error) is NotSentError


def test_no_answer_in_time_leaves_the_order_in_doubt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "READ_TIMEOUT_S", 0.1)
    done = threading.Event()

    with serving(lambda *_: bool(done.wait(5)) and None) as server:
        error = submit_fails(server.base_url)
        done.set()

    assert type(error) is UnreachableError
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "behaviour",
    [
        lambda peer, _: reset(peer),
        lambda peer, _: peer.close(),
        lambda peer, _: (peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"), peer.close()),
        lambda peer, _: (peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"), reset(peer)),
        lambda peer, _: (peer.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"), peer.close()),
        lambda peer, _: (peer.sendall(b"not http at all\r\n\r\n"), peer.close()),
        lambda peer, _: peer.sendall(reply(b"not gzip", headers="Content-Encoding: gzip\r\n")),
        lambda peer, _: peer.sendall(reply(b'{"code":1000,"data":{"order_id":')),
        lambda peer, _: peer.sendall(reply(b"", status="302 Found", headers="Location: /elsewhere\r\n")),
        lambda peer, _: peer.sendall(reply(b"<html>", status="503 Service Unavailable", headers="Retry-After: 0\r\n")),
    ],
)
def test_a_broken_answer_leaves_the_order_in_doubt_and_is_not_sent_again(behaviour: object) -> None:
    with serving(behaviour) as server:  # type: ignore[arg-type]
        error = submit_fails(server.base_url)

    assert type(error) is UnreachableError
    assert len(server.requests) == 1


def test_a_kept_connection_that_dies_does_not_send_twice() -> None:
    answered = threading.Event()

    def once(peer: socket.socket, _: bytes) -> None:
        if answered.is_set():
            reset(peer)
        else:
            answered.set()
            peer.sendall(ACCEPTED)

    with serving(once) as server:
        exchange = spot(server.base_url)
        exchange.submit(ORDER, signed_at_ms=NOW_MS)
        with pytest.raises(UnreachableError):
            exchange.submit(ORDER, signed_at_ms=NOW_MS)
        exchange.close()

    assert (server.connections, len(server.requests)) == (1, 2)


def test_an_endless_answer_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "LARGEST_ANSWER", 1000)

    with serving(lambda peer, _: peer.sendall(reply(b" " * 5000))) as server:
        error = submit_fails(server.base_url)

    assert type(error) is UnreachableError


def test_a_dripping_answer_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "WHOLE_BODY_S", 0.0)

    with serving(lambda peer, _: peer.sendall(ACCEPTED)) as server:
        error = submit_fails(server.base_url)

    assert type(error) is UnreachableError


def test_reads_are_tried_three_times_and_no_more() -> None:
    with serving(lambda peer, _: reset(peer)) as server:
        exchange = futures(server.base_url)
        with pytest.raises(UnreachableError):
            exchange.balances()
        exchange.close()

    assert len(server.requests) == 3


def test_who_waits_until_a_moment_asks_once_and_counts_no_silence() -> None:
    done = threading.Event()
    outcomes: list[bool] = []

    with serving(lambda *_: bool(done.wait(5)) and None) as server:
        wire = Client(base_url=server.base_url, credentials=None, user_agent=AGENT, on_outcome=outcomes.append)
        began = time.monotonic()
        with priority(Priority.SCREEN, until=began + 0.3):
            with pytest.raises(UnreachableError):
                wire.public("/system/time")
            with pytest.raises(NotSentError):
                wire.public("/system/time")
        took = time.monotonic() - began
        done.set()

    assert 0.3 <= took < 1
    assert (len(server.requests), outcomes) == (1, [])


def test_a_read_that_could_not_connect_is_tried_three_times_too() -> None:
    traces: list[RequestTrace] = []
    wire = client(base_url=f"http://127.0.0.1:{free_port()}", on_trace=traces.append)

    with pytest.raises(NotSentError):
        wire.public("/system/time")

    assert [trace.status for trace in traces] == [None, None, None]


def test_a_read_succeeds_on_its_second_try() -> None:
    def second(peer: socket.socket, _: bytes) -> None:
        if len(server.requests) == 1:
            reset(peer)
        else:
            peer.sendall(reply(b'{"code":1000,"data":{"server_time":1760000000000}}'))

    with serving(second) as server:
        exchange = futures(server.base_url)
        assert exchange.server_time_ms() == 1760000000000
        exchange.close()

    assert len(server.requests) == 2


def test_one_connection_is_kept_and_no_cookie_comes_back() -> None:
    answer = reply(b'{"code":1000,"data":{"server_time":1760000000000}}', headers="Set-Cookie: a=b; Path=/\r\n")

    with serving(lambda peer, _: peer.sendall(answer)) as server:
        exchange = spot(server.base_url)
        for _ in range(3):
            exchange.server_time_ms()
        exchange.close()

    assert (server.connections, len(server.requests)) == (1, 3)
    assert b"cookie" not in b"".join(server.requests).lower()


def test_what_was_closed_connects_anew() -> None:
    with serving(lambda peer, _: peer.sendall(ACCEPTED)) as server:
        exchange = spot(server.base_url)
        for _ in range(2):
            assert exchange.submit(ORDER, signed_at_ms=NOW_MS).exchange_order_id == "5"
            exchange.close()

    assert (server.connections, len(server.requests)) == (2, 2)


def test_hosts_of_one_transport_keep_their_own_connections() -> None:
    def answer(name: bytes) -> Behaviour:
        return lambda peer, _: peer.sendall(reply(name))

    with serving(answer(b"1")) as one, serving(answer(b"2")) as two, serving(answer(b"3")) as three:
        sender = transport.Transport()
        told = [
            sender.send(transport.prepared("GET", f"{server.base_url}/a", params={}, headers={}, content=None)).content
            for _ in range(2)
            for server in (one, two, three)
        ]
        sender.close()

    assert told == [b"1", b"2", b"3"] * 2
    assert one.requests[0].startswith(b"GET /a HTTP/1.1\r\n")


def test_the_environment_sets_no_proxy_and_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")

    with serving(lambda peer, _: peer.sendall(ACCEPTED)) as server:
        exchange = spot(server.base_url)
        assert exchange.submit(ORDER, signed_at_ms=NOW_MS).exchange_order_id == "5"
        exchange.close()


def test_threads_share_a_client_without_mixing_requests() -> None:
    def echo(peer: socket.socket, request: bytes) -> None:
        order = json.loads(request.partition(b"\r\n\r\n")[2])
        peer.sendall(reply(json.dumps({"code": 1000, "data": {"order_id": order["client_order_id"]}}).encode()))

    def submit(n: int) -> str:
        request = OrderRequest(
            client_order_id=f"tv{n}", symbol="BTCUSDT", side=Side.BUY, order_type=OrderType.MARKET, quantity=Decimal(1)
        )
        return exchange.submit(request, signed_at_ms=NOW_MS + n).exchange_order_id

    with serving(echo) as server:
        exchange = FuturesExchange(client(base_url=server.base_url))
        with ThreadPoolExecutor(8) as pool:
            ids = list(pool.map(submit, range(200)))
        exchange.close()

    assert ids == [f"tv{n}" for n in range(200)]
    assert len(server.requests) == 200
    assert all(is_signed_for_its_own_body(request) for request in server.requests)


def is_signed_for_its_own_body(request: bytes) -> bool:
    head, _, body = request.partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
    expected = signature(secret_key=SECRET, memo=MEMO, timestamp_ms=int(headers["X-BM-TIMESTAMP"]), body=body)
    return headers["X-BM-SIGN"] == expected


def test_each_call_leaves_a_trace_without_its_query() -> None:
    traces: list[RequestTrace] = []
    with serving(lambda peer, _: peer.sendall(reply(b'{"code":30014,"trace":"abc"}', status="503 x"))) as server:
        wire = client(base_url=server.base_url, on_trace=traces.append)
        with pytest.raises(UnreachableError):
            wire.keyed("/spot/v1/trade_fee", {"symbol": "BTC_USDT"})
        wire.close()

    assert [(t.method, t.path, t.status, t.code, t.server_trace) for t in traces] == [
        ("GET", "/spot/v1/trade_fee", 503, "30014", "abc")
    ] * 3


def test_a_call_that_never_left_is_traced_without_a_status() -> None:
    traces: list[RequestTrace] = []
    wire = client(base_url=f"http://127.0.0.1:{free_port()}", on_trace=traces.append)

    with pytest.raises(NotSentError):
        wire.signed_once("/spot/v2/submit_order", {}, signed_at_ms=NOW_MS)

    assert [(t.method, t.path, t.status, t.code) for t in traces] == [("POST", "/spot/v2/submit_order", None, "")]


def test_no_secret_is_in_an_error_or_its_traceback() -> None:
    with serving(lambda peer, _: reset(peer)) as server:
        error = submit_fails(server.base_url)

    shown = "".join(traceback.format_exception(error)) + repr(error) + repr(error.__context__) + repr(error.__cause__)
    assert error.__context__ is None
    assert error.__cause__ is None
    for secret in (KEY, SECRET, MEMO):
        assert secret not in shown


@pytest.mark.parametrize("access_key", ["", "key\r\nX-Evil: 1", "kéy", "two words"])
def test_a_key_that_cannot_stand_in_a_header_is_refused_unsent_and_unquoted(access_key: str) -> None:
    exchange = private(access_key=access_key)

    with pytest.raises(CredentialsError) as caught:
        exchange.balances()

    assert caught.value.reason == "KEY_UNKNOWN"
    assert not access_key or access_key not in str(caught.value)


@pytest.mark.parametrize(("secret_key", "memo"), [("", "memo"), ("\ud800", "memo"), (SECRET, "\udfff")])
def test_a_damaged_secret_is_refused_unsent(secret_key: str, memo: str) -> None:
    exchange = private(secret_key=secret_key, memo=memo)

    with pytest.raises(CredentialsError) as caught:
        exchange.verify_signature()

    assert caught.value.reason == "SIGNATURE"


def private(*, access_key: str = KEY, secret_key: str = SECRET, memo: str = MEMO) -> Exchange:
    return open_exchange(
        market=Market.FUTURES,
        base_url="http://127.0.0.1:9",
        credentials=Credentials(access_key, secret_key, memo),
        user_agent=AGENT,
    )


def test_without_credentials_public_calls_work_and_private_ones_are_not_sent() -> None:
    with serving(lambda peer, _: peer.sendall(reply(b'{"code":1000,"data":{"server_time":1}}'))) as server:
        exchange = open_exchange(market=Market.SPOT, base_url=server.base_url + "/", credentials=None, user_agent=AGENT)
        assert exchange.server_time_ms() == 1
        with pytest.raises(CredentialsError):
            exchange.balances()
        with pytest.raises(CredentialsError):
            exchange.submit(ORDER, signed_at_ms=NOW_MS)
        exchange.close()

    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("base_url", "user_agent"), [("ftp://x", AGENT), ("x", AGENT), ("https://x", ""), ("https://x", "a\nb")]
)
def test_a_client_is_not_built_for_a_faulty_address_or_agent(base_url: str, user_agent: str) -> None:
    with pytest.raises(ValueError):
        open_exchange(market=Market.SPOT, base_url=base_url, credentials=None, user_agent=user_agent)


def test_credentials_do_not_show_themselves() -> None:
    assert repr(Credentials(KEY, SECRET, MEMO)) == "Credentials()"


def test_clients_of_a_replaced_transport_send_their_bytes_through_it() -> None:
    sent: list[str] = []

    class Elsewhere:
        def send(self, request: requests.PreparedRequest) -> transport.RawAnswer:
            sent.append(f"{request.method} {request.url}")
            return transport.RawAnswer(200, {}, b'{"code":1000,"data":{"server_time":7}}')

        def close(self) -> None:
            sent.append("closed")

    with transport.replaced(Elsewhere):
        client = Client(base_url="http://127.0.0.1:1", credentials=None, user_agent="t/1")
    after = Client(base_url="http://127.0.0.1:1", credentials=None, user_agent="t/1")

    assert client.public("/system/time").data == {"server_time": 7}
    client.close()
    assert sent == ["GET http://127.0.0.1:1/system/time", "closed"]
    assert isinstance(after._transport, transport.Transport)


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"symbol": "BTCUSDT"},
        {"symbol": "BTC_USDT", "start_time": 1767225600, "limit": 100},
        {"symbol": "A&B=C?D#E/F G+H%20~-._!*'()", "client_order_id": "ß漢\u202e"},
        {"symbol": ""},
    ],
)
@pytest.mark.parametrize("content", [None, b'{"symbol":"BTCUSDT"}', b""])
def test_request_is_what_the_library_would_have_made_of_it(params: dict[str, str | int], content: bytes | None) -> None:
    url, headers = "https://api.test/contract/private/order", {"User-Agent": "x/1", "X-BM-KEY": "k" * 40}
    method = "GET" if content is None else "POST"

    ours = transport.prepared(method, url, params=params, headers=headers, content=content)
    theirs = requests.Request(method, url, params=params, data=content, headers=headers).prepare()

    assert (ours.method, ours.url, ours.body or b"") == (theirs.method, theirs.url, theirs.body or b"")
    assert dict(ours.headers) == dict(theirs.headers)
