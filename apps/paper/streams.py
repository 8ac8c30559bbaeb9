"""Who listens to what: public topics speak at each step of the price, private ones when the book tells of a change."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from apps.paper import streams_futures, streams_spot
from apps.paper.events import Event
from apps.paper.exchange import Exchange
from apps.paper.faults import FaultRoom
from apps.paper.sockets_session import Session
from apps.paper.streams_delivery import Delivery, Push
from apps.paper.streams_futures_user import ASSET, ORDER, POSITION, FuturesUser
from apps.paper.streams_manners import Manners
from apps.paper.streams_publishers import Publisher
from apps.paper.streams_spot_user import ALL_ORDERS, BALANCE, SpotUser
from apps.paper.streams_spot_user import ORDER as SPOT_ORDER

POSITION_EVERY_MS = 10_000
# Long enough for the answer of the call that changed something to leave first.
_BEHIND_THE_ANSWER_SECONDS = 0.003
Later = Callable[[Callable[[], None]], object]
_ASSETS = ("USDT", "BTC", "ETH")


class Unknown(Enum):
    CHANNEL = "channel"
    SYMBOL = "symbol"


@dataclass(slots=True)
class _Public:
    publisher: Publisher
    label: str
    sessions: dict[Session, None] = field(default_factory=dict)


@dataclass(slots=True)
class _Private:
    sessions: dict[Session, None] = field(default_factory=dict)
    next_ms: int = 0


class Streams:
    def __init__(self, exchange: Exchange, room: FaultRoom, manners: Manners, *, later: Later | None = None) -> None:
        """`later` runs what it is given once the answer that is being made has left; the event loop's by default."""
        self.manners = manners
        self._exchange = exchange
        self._delivery = Delivery(room, exchange.clock)
        self._public: dict[str, _Public] = {}
        self._private: dict[tuple[int, str], _Private] = {}
        self._stop_hearing: Callable[[], None] | None = None
        self._later = later or _on_the_loop
        self._heard: list[tuple[int, Push]] = []
        self._spot_user = SpotUser(exchange, self.manners)
        self._futures_user = FuturesUser(exchange)

    def unknown(self, market: str, topic: str) -> Unknown | None:
        """Say what of the topic does not exist on the market's host, None when all of it does."""
        channel, symbol, pace = _parts(topic)
        if market == "spot":
            if channel in streams_spot.CHANNELS or channel == SPOT_ORDER:
                return None if symbol in self._exchange.catalogue.spot and not pace else Unknown.SYMBOL
            return None if topic in {ALL_ORDERS, BALANCE} else Unknown.CHANNEL
        if channel in streams_futures.CHANNELS:
            known = symbol in self._exchange.catalogue.futures and streams_futures.takes_pace(channel, pace)
            return None if known else Unknown.SYMBOL
        if channel == ASSET:
            return None if symbol in _ASSETS and not pace else Unknown.SYMBOL
        return None if topic in {ORDER, POSITION} else Unknown.CHANNEL

    def is_private(self, topic: str) -> bool:
        return topic.startswith(("spot/user/", ASSET, ORDER, POSITION))

    def has_snapshots(self, topic: str) -> bool:
        return _parts(topic)[0] in streams_spot.INCREMENTAL | streams_futures.INCREMENTAL

    def subscribe(self, session: Session, topic: str) -> None:
        session.topics.add(topic)
        if session.account is not None and self.is_private(topic):
            private = self._private_topic(session.account.id, topic)
            private.sessions[session] = None
            private.next_ms = private.next_ms or self._exchange.clock() + POSITION_EVERY_MS
            return
        public = self._public.get(topic)
        if public is None:
            public = self._public[topic] = self._opened(topic)
        public.sessions[session] = None
        self._send_first(public, topic, session)

    def request(self, session: Session, topic: str) -> None:
        """Send the snapshot of a topic that has snapshots, at the version its subscribers are at."""
        public = self._public.get(topic) or self._opened(topic)
        self._send_first(public, topic, session)

    def unsubscribe(self, session: Session, topic: str) -> None:
        session.topics.discard(topic)
        public = self._public.get(topic)
        if public is not None:
            public.sessions.pop(session, None)
            if not public.sessions:
                del self._public[topic]
        key = (session.account.id if session.account else 0, topic)
        private = self._private.get(key)
        if private is not None:
            private.sessions.pop(session, None)
            if not private.sessions:
                del self._private[key]
                if not self._private and self._stop_hearing is not None:
                    self._stop_hearing()
                    self._stop_hearing = None

    def leave(self, session: Session) -> None:
        for topic in tuple(session.topics):
            self.unsubscribe(session, topic)
        self._delivery.forget(session)

    def tick(self, now_ms: int) -> None:
        """Have every topic that is listened to say what is due."""
        for topic, public in tuple(self._public.items()):
            for data in public.publisher.due(now_ms):
                self._delivery.send(Push(topic, public.label, data), public.sessions)
        for (account_id, topic), private in tuple(self._private.items()):
            if topic == POSITION and now_ms >= private.next_ms:
                private.next_ms = now_ms + POSITION_EVERY_MS
                for push in self._futures_user.all_positions(account_id):
                    self._delivery.send(push, private.sessions)

    def _hear(self, event: Event) -> None:
        """Take an event of the book's feed to those who listen to its account, after the answer that is on its way."""
        for account_id, push in (*self._spot_user.pushes(event), *self._futures_user.pushes(event)):
            if (account_id, push.topic) in self._private:
                if not self._heard:
                    self._later(self.flush)
                self._heard.append((account_id, push))

    def flush(self) -> None:
        """Send what was heard."""
        heard, self._heard = self._heard, []
        for account_id, push in heard:
            private = self._private.get((account_id, push.topic))
            if private is not None:
                self._delivery.send(push, private.sessions)

    def _private_topic(self, account_id: int, topic: str) -> _Private:
        # The book makes no events while nobody hears them.
        if self._stop_hearing is None:
            self._stop_hearing = self._exchange.feed.subscribe(self._hear)
        return self._private.setdefault((account_id, topic), _Private())

    def _opened(self, topic: str) -> _Public:
        channel, symbol, _ = _parts(topic)
        if channel.startswith("spot/"):
            return _Public(streams_spot.publisher(self._exchange, channel, symbol), channel)
        suffix = self.manners.ticker_suffix if channel == "futures/ticker" else ""
        found = streams_futures.publisher(self._exchange, self.manners, channel, symbol)
        return _Public(found, f"{topic}{suffix}")

    def _send_first(self, public: _Public, topic: str, session: Session) -> None:
        for data in public.publisher.first(self._exchange.clock()):
            self._delivery.send(Push(topic, public.label, data), (session,))


def _on_the_loop(call: Callable[[], None]) -> None:
    asyncio.get_running_loop().call_later(_BEHIND_THE_ANSWER_SECONDS, call)


def _parts(topic: str) -> tuple[str, str, str]:
    """Return (channel, symbol, pace) of `channel:symbol@pace`; what is absent is empty."""
    channel, _, rest = topic.partition(":")
    symbol, _, pace = rest.partition("@")
    return channel, symbol, pace
