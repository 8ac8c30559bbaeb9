"""The spot host's words: op, event, errorCode."""

from collections.abc import Sequence

from apps.paper.exchange import Exchange
from apps.paper.sockets_limits import Allowance
from apps.paper.sockets_login import Wrong, credentials, log_in
from apps.paper.sockets_session import Session
from apps.paper.streams import Streams, Unknown

_OPS = ("subscribe", "unsubscribe", "login", "request")
_ERRORS = {
    "90001": "Message format is invalid",
    "90002": "Op is invalid",
    "90003": "Args is invalid",
    "90004": "Channel is invalid",
    "90005": "A message can subscribe to at most 20 topics",
    "90006": "Too many topics subscribed",
    "90007": "Too many messages in 10 seconds",
    "90008": "Topic is already subscribed",
    "90009": "Topic is not subscribed",
    "91001": "Key is empty",
    "91002": "Key is not found",
    "91005": "Already logged in",
    "91006": "Login is required",
    "91010": "Sign is empty",
    "91011": "Sign is wrong",
    "91021": "Timestamp is empty",
    "91022": "Timestamp range. Within a minute",
    "91023": "Timestamp invalid format",
    "92001": "Symbol is invalid",
    "94001": "Reconnecting too often",
    "94002": "Too many connections",
}
_LOGIN_CODES = {
    Wrong.KEY_EMPTY: "91001",
    Wrong.KEY_UNKNOWN: "91002",
    Wrong.SIGN_EMPTY: "91010",
    Wrong.SIGN: "91011",
    Wrong.TIME_EMPTY: "91021",
    Wrong.TIME_RANGE: "91022",
    Wrong.TIME_FORMAT: "91023",
}
_REFUSED = 1008


def error(event: str, code: str, topic: str = "") -> dict[str, str]:
    content = {"event": event, "errorMessage": _ERRORS[code], "errorCode": code}
    return {"topic": topic} | content if topic else content


class SpotDialect:
    def __init__(self, exchange: Exchange, streams: Streams) -> None:
        self._exchange = exchange
        self._streams = streams

    def turn_away(self, session: Session, why: str) -> None:
        session.say(error("connect", "94001" if why == "often" else "94002"))
        session.link.end(_REFUSED, why)

    def flooded(self, session: Session) -> None:
        session.say(error("error", "90007"))
        session.link.end(_REFUSED, "too many messages")

    def garbled(self, session: Session) -> None:
        session.say(error("error", "90001"))

    def take(self, session: Session, message: dict[str, object], allowance: Allowance) -> None:
        op, args = message.get("op"), message.get("args")
        if not isinstance(op, str) or op not in _OPS:
            session.say(error(op if isinstance(op, str) else "error", "90002"))
        elif not isinstance(args, list) or not args or not all(isinstance(arg, str | int) for arg in args):
            session.say(error(op, "90003"))
        elif op == "login":
            self._log_in(session, args)
        elif allowance.topics_a_message and len(args) > allowance.topics_a_message:
            session.say(error(op, "90005"))
        else:
            for arg in args:
                self._one(session, op, str(arg), allowance)

    def _log_in(self, session: Session, args: Sequence[object]) -> None:
        if not session.private:
            session.say(error("login", "90002"))
            return
        if session.account is not None:
            session.say(error("login", "91005"))
            return
        found = log_in(self._exchange.store, credentials(args), self._exchange.clock())
        if isinstance(found, Wrong):
            session.say(error("login", _LOGIN_CODES[found]))
            session.link.end(_REFUSED, "login failed")
            return
        session.account = found
        session.say({"event": "login"})

    def _one(self, session: Session, op: str, topic: str, allowance: Allowance) -> None:
        code = self._refusal(session, op, topic, allowance)
        if code:
            session.say(error(op, code, topic))
            return
        if op == "unsubscribe":
            self._streams.unsubscribe(session, topic)
            session.say({"event": op, "topic": topic})
            return
        if op == "request":
            self._streams.request(session, topic)
            return
        session.say({"event": op, "topic": topic})
        self._streams.subscribe(session, topic)

    def _refusal(self, session: Session, op: str, topic: str, allowance: Allowance) -> str:
        """Return the code that refuses the topic, "" when it is fine."""
        unknown = self._streams.unknown("spot", topic)
        if unknown is Unknown.CHANNEL:
            return "90004"
        if op == "unsubscribe":
            return "" if topic in session.topics else "90009"
        if unknown is Unknown.SYMBOL:
            return "92001"
        if self._streams.is_private(topic):
            if not session.private:
                return "90004"
            if session.account is None:
                return "91006"
        if op == "request":
            return "" if self._streams.has_snapshots(topic) else "90004"
        if topic in session.topics:
            return "90008"
        if allowance.channels and len(session.topics) >= allowance.channels:
            return "90006"
        return ""
