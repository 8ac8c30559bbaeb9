"""The futures host's words: action, group, success."""

from apps.paper.exchange import Exchange
from apps.paper.sockets_limits import Allowance
from apps.paper.sockets_login import Wrong, credentials, log_in
from apps.paper.sockets_session import Session
from apps.paper.streams import Streams

_LOGINS = ("access", "login")
_ACTIONS = ("subscribe", "unsubscribe", "request")
_SHOWN_OF_KEY = 10
_REFUSED = 1008


class FuturesDialect:
    def __init__(self, exchange: Exchange, streams: Streams) -> None:
        self._exchange = exchange
        self._streams = streams

    def turn_away(self, session: Session, why: str) -> None:
        session.say({"action": "connect", "success": False, "error": "too many connections"})
        session.link.end(_REFUSED, why)

    def flooded(self, session: Session) -> None:
        session.say({"action": "error", "success": False, "error": "too many messages"})
        session.link.end(_REFUSED, "too many messages")

    def garbled(self, session: Session) -> None:
        session.say({"action": "error", "success": False, "error": "invalid message"})

    def take(self, session: Session, message: dict[str, object], allowance: Allowance) -> None:
        action, args = message.get("action"), message.get("args")
        if action == "ping":
            session.say({"group": "System", "data": "pong"})
        elif not isinstance(action, str) or action not in (*_ACTIONS, *_LOGINS):
            word = action if isinstance(action, str) else "error"
            session.say({"action": word, "success": False, "error": f"action [{word}] not exist"})
        elif not isinstance(args, list) or not args or not all(isinstance(arg, str | int) for arg in args):
            session.say({"action": action, "success": False, "error": "invalid args"})
        elif action in _LOGINS:
            self._log_in(session, action, args)
        else:
            for arg in args:
                self._one(session, {"action": action, "args": args}, topic=str(arg))

    def _log_in(self, session: Session, action: str, args: list[object]) -> None:
        given = credentials(args)
        found = log_in(self._exchange.store, given, self._exchange.clock()) if session.private else Wrong.KEY_UNKNOWN
        if isinstance(found, Wrong):
            shown = f"{given.key[:_SHOWN_OF_KEY]}****"
            text = f"access failed: openapi auth: apiKey {shown} failed: openapi auth failed"
            session.say({"action": action, "success": False, "error": text})
            session.link.end(_REFUSED, "access failed")
            return
        session.account = found
        session.say({"action": action, "success": True})

    def _one(self, session: Session, message: dict[str, object], *, topic: str) -> None:
        action = message["action"]
        answer: dict[str, object] = {"action": action, "group": topic, "success": True, "request": message}
        error = self._refusal(session, str(action), topic)
        if error:
            session.say(answer | {"success": False, "error": error})
            return
        session.say(answer)
        if action == "unsubscribe":
            self._streams.unsubscribe(session, topic)
        elif action == "request":
            self._streams.request(session, topic)
        elif topic not in session.topics:
            self._streams.subscribe(session, topic)

    def _refusal(self, session: Session, action: str, topic: str) -> str:
        """Return the text that refuses the topic, "" when it is fine. Subscribing twice is fine."""
        missing = f"group [{topic}] not exist"
        if self._streams.unknown("futures", topic):
            return missing
        if self._streams.is_private(topic) and session.account is None:
            # Their spelling.
            return f"{topic.split(':')[0]} need authenication"
        if action == "request" and not self._streams.has_snapshots(topic):
            return missing
        return ""
