"""Why something was not done: one code, the facts, and the sentence that tells the trader what to do."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from string import Formatter


class Verdict(StrEnum):
    """How an alert or an order that met the denial is labelled. IGNORED and PAUSED are not errors."""

    IGNORED = "ignored"
    REJECTED = "rejected"
    TOO_OLD = "too_old"
    PAUSED = "paused"


class DenialCode(StrEnum):
    NOTHING_TO_CLOSE = "NOTHING_TO_CLOSE"
    ALREADY_AT_TARGET = "ALREADY_AT_TARGET"
    SPOT_NO_SHORT = "SPOT_NO_SHORT"
    DUST_LEFT = "DUST_LEFT"
    POSITION_MISMATCH = "POSITION_MISMATCH"
    TARGET_CONTRADICTS = "TARGET_CONTRADICTS"
    HEDGE_MODE_MISMATCH = "HEDGE_MODE_MISMATCH"
    SPOT_REVERSAL_SIZE_UNKNOWN = "SPOT_REVERSAL_SIZE_UNKNOWN"
    QUANTITY_BELOW_MINIMUM = "QUANTITY_BELOW_MINIMUM"
    QUANTITY_ABOVE_MAXIMUM = "QUANTITY_ABOVE_MAXIMUM"
    NOTIONAL_BELOW_MINIMUM = "NOTIONAL_BELOW_MINIMUM"
    INSUFFICIENT_BALANCE = "INSUFFICIENT_BALANCE"
    LEVERAGE_TOO_HIGH = "LEVERAGE_TOO_HIGH"
    LEVERAGE_OVER_LIMIT = "LEVERAGE_OVER_LIMIT"
    SETUP_NOT_ON_SPOT = "SETUP_NOT_ON_SPOT"
    AMOUNT_NOT_ON_SPOT = "AMOUNT_NOT_ON_SPOT"
    AMOUNT_BELOW_MINIMUM = "AMOUNT_BELOW_MINIMUM"
    PERCENT_OF_NOTHING = "PERCENT_OF_NOTHING"
    EXIT_SIZE_AMBIGUOUS = "EXIT_SIZE_AMBIGUOUS"
    PERCENT_OF_NO_FUNDS = "PERCENT_OF_NO_FUNDS"
    RISK_NEEDS_STOP = "RISK_NEEDS_STOP"
    STOP_ON_WRONG_SIDE = "STOP_ON_WRONG_SIDE"
    PRICE_MISSING = "PRICE_MISSING"
    SITE_HALTED = "SITE_HALTED"
    STAFF_HALTED = "STAFF_HALTED"
    WORKSPACE_HALTED = "WORKSPACE_HALTED"
    CONNECTOR_HALTED = "CONNECTOR_HALTED"
    SITE_REDUCE_ONLY = "SITE_REDUCE_ONLY"
    STAFF_REDUCE_ONLY = "STAFF_REDUCE_ONLY"
    WORKSPACE_REDUCE_ONLY = "WORKSPACE_REDUCE_ONLY"
    CONNECTOR_REDUCE_ONLY = "CONNECTOR_REDUCE_ONLY"
    EXCHANGE_FAILING = "EXCHANGE_FAILING"
    INCIDENT_OPEN = "INCIDENT_OPEN"
    CONNECTOR_DELETED = "CONNECTOR_DELETED"
    PAUSED = "PAUSED"
    TRIAL_ENDED = "TRIAL_ENDED"
    ENTRY_EXPIRED = "ENTRY_EXPIRED"
    ALERT_TOO_OLD = "ALERT_TOO_OLD"
    EXIT_TOO_OLD = "EXIT_TOO_OLD"
    SYMBOL_NOT_TRADING = "SYMBOL_NOT_TRADING"
    SYMBOL_DELISTING = "SYMBOL_DELISTING"
    SYMBOL_NOT_ALLOWED = "SYMBOL_NOT_ALLOWED"
    DIRECTION_NOT_ALLOWED = "DIRECTION_NOT_ALLOWED"
    ADDS_BLOCKED = "ADDS_BLOCKED"
    ADDS_USED_UP = "ADDS_USED_UP"
    MAX_OPEN_POSITIONS = "MAX_OPEN_POSITIONS"
    MAX_DAILY_LOSS = "MAX_DAILY_LOSS"
    PRICE_DEVIATION = "PRICE_DEVIATION"
    MAX_ORDER_NOTIONAL = "MAX_ORDER_NOTIONAL"
    MAX_OPEN_NOTIONAL = "MAX_OPEN_NOTIONAL"
    ORDER_RATE = "ORDER_RATE"
    RATE_BUDGET = "RATE_BUDGET"
    CLOCK_UNTRUSTED = "CLOCK_UNTRUSTED"
    SETUP_FAILED = "SETUP_FAILED"
    CLOSE_LEG_FAILED = "CLOSE_LEG_FAILED"
    CLOSE_LEG_TIMEOUT = "CLOSE_LEG_TIMEOUT"
    ORDER_IN_DOUBT = "ORDER_IN_DOUBT"
    TAKEN_BACK = "TAKEN_BACK"
    NOTHING_TO_CANCEL = "NOTHING_TO_CANCEL"
    CANCELS_ONLY = "CANCELS_ONLY"
    PROTECTION_ON_SPOT = "PROTECTION_ON_SPOT"
    PROTECTION_WRONG_SIDE = "PROTECTION_WRONG_SIDE"
    PROTECTION_TOO_SMALL = "PROTECTION_TOO_SMALL"
    TRAILING_OUT_OF_RANGE = "TRAILING_OUT_OF_RANGE"
    LIMIT_PRICE_MISSING = "LIMIT_PRICE_MISSING"
    LIMIT_PRICE_TOO_SMALL = "LIMIT_PRICE_TOO_SMALL"


_C = DenialCode

_SENTENCES: dict[DenialCode, str] = {
    _C.NOTHING_TO_CLOSE: (
        "Nothing to close on {symbol}: the account holds {actual}. No order was sent. "
        "Nothing to do unless you expected a position there."
    ),
    _C.ALREADY_AT_TARGET: (
        "Nothing to do: the alert wants {target} on {symbol} and the account holds {actual}. No order was sent."
    ),
    _C.SPOT_NO_SHORT: (
        "Ignored: {symbol} is a spot market and cannot be sold short. No order was sent. "
        "To trade the short side, use a pointer of a futures connector."
    ),
    _C.DUST_LEFT: (
        "Nothing to close: the {held} {unit} left on {symbol} are below the smallest order ({minimum}) and "
        "cannot be sold. "
        "No order was sent."
    ),
    _C.POSITION_MISMATCH: (
        "Not traded: the alert says the strategy was {claimed} on {symbol}, the account holds {actual}. "
        "Bring the two in step, or change 'The alert and the account disagree about the position' on the connector "
        "from 'place nothing'."
    ),
    _C.TARGET_CONTRADICTS: (
        "Not traded: the message says that its {action} on {symbol} comes from {claimed} and leaves the strategy "
        "{stated}, which it cannot. Take 'prev_position' and 'market_position' from TradingView's placeholders, or "
        "leave 'market_position' and its size out."
    ),
    _C.HEDGE_MODE_MISMATCH: (
        'Not traded: the message asks for hedge mode and the account is {found}. Remove "hedgemode" from the message, '
        "or use a futures account that is set to hedge mode (it can be switched while no position is open)."
    ),
    _C.SPOT_REVERSAL_SIZE_UNKNOWN: (
        "Not traded: this buy of {asked} {unit} also closes a short that spot cannot hold, and the message "
        "does not say "
        'how much of it is the new long. Add "market_position_size": "{{{{strategy.market_position_size}}}}" '
        "to the message."
    ),
    _C.QUANTITY_BELOW_MINIMUM: (
        "Too small: {asked} {unit} rounds down to {rounded}. Smallest order on {symbol} is {minimum}, "
        "so send at least {smallest} {unit}. Change the quantity in the message."
    ),
    _C.QUANTITY_ABOVE_MAXIMUM: (
        "Too large: {asked} {unit} in one order, {symbol} accepts at most {maximum}. Send a smaller quantity."
    ),
    _C.NOTIONAL_BELOW_MINIMUM: (
        "Too small: {asked} {unit} rounds down to {rounded}, worth {notional} {quote}. Smallest order on {symbol} is "
        "{minimum} {quote}, about {smallest} {unit} at {price}. Change the quantity in the message."
    ),
    _C.INSUFFICIENT_BALANCE: (
        "Balance too low: this order needs {needed} {quote}, {available} {quote} can be used. Nothing was sent. "
        "Add funds or send a smaller quantity."
    ),
    _C.LEVERAGE_TOO_HIGH: (
        "Leverage too high: {found}x asked, {symbol} allows at most {maximum}x. Lower the leverage in the message or "
        "on the connector."
    ),
    _C.LEVERAGE_OVER_LIMIT: (
        "Over your limit: the message asks for {found}x on {symbol}, the most a message may ask for is {maximum}x. "
        "Nothing was sent. Lower it in the message or raise 'Most leverage a message may ask for' on the connector."
    ),
    _C.SETUP_NOT_ON_SPOT: (
        "Not traded: the message asks for {what} and {symbol} is a spot market, where every order is paid in full. "
        "Remove '{key}' from the message, or use a pointer of a futures connector."
    ),
    _C.AMOUNT_NOT_ON_SPOT: (
        "Not traded: a quantity in '{type}' has no meaning on the spot market {symbol}. "
        "Accepted there: base, quote, percent_equity, percent_balance, percent_position."
    ),
    _C.AMOUNT_BELOW_MINIMUM: (
        "Too small: {asked} is {base} {unit}, which rounds down to {rounded} {unit}. Smallest order on {symbol} is "
        "{minimum} {unit} now, so send at least {smallest}."
    ),
    _C.PERCENT_OF_NOTHING: (
        "Not traded: the quantity is a percentage of the {side} position on {symbol}, and the account holds {actual}. "
        "Open with another quantity_type, such as percent_equity or quote."
    ),
    _C.EXIT_SIZE_AMBIGUOUS: (
        "Not traded: a quantity in '{type}' does not say how much of the position on {symbol} to close. "
        'Add "market_position": "{{{{strategy.market_position}}}}" to the message, or send quantity_type '
        "percent_position (100 closes all)."
    ),
    _C.PERCENT_OF_NO_FUNDS: (
        "Not traded: '{type}' is a share of the account's {of}, which is {found}. Nothing was sent. "
        "Add funds, or send a fixed quantity."
    ),
    _C.RISK_NEEDS_STOP: (
        "Not traded: risk_percent is what may be lost between the entry and the stop-loss, and the message for "
        "{symbol} has no stop_loss. Add one, or use another quantity_type."
    ),
    _C.STOP_ON_WRONG_SIDE: (
        "Not traded: the stop-loss {stop} of this {side} must be {where} the price, which is {price}. Nothing was "
        "sent. Correct the stop_loss in the message."
    ),
    _C.PRICE_MISSING: (
        "No price: the exchange gave no {wanted} for {symbol}, so the order could not be sized. Nothing was sent. "
        "Send it again when the market quotes."
    ),
    _C.SITE_HALTED: "Halted: all trading is stopped by the operators. Nothing was sent. See the status page.",
    _C.STAFF_HALTED: (
        "Halted by the operators: {reason}. Nothing was sent, exits included. Write to support to have it lifted."
    ),
    _C.WORKSPACE_HALTED: (
        "Halted: you stopped everything in this workspace. Nothing was sent. Lift the stop to trade again."
    ),
    _C.CONNECTOR_HALTED: (
        "Halted: connector '{connector}' is stopped, exits included. Nothing was sent. Start it on its page."
    ),
    _C.SITE_REDUCE_ONLY: "New positions are off for everyone at the moment; exits still work. See the status page.",
    _C.STAFF_REDUCE_ONLY: (
        "New positions were turned off by the operators: {reason}. Exits still work. Write to support about it."
    ),
    _C.WORKSPACE_REDUCE_ONLY: (
        "New positions are off in this workspace; exits still work. Turn entries on in its settings."
    ),
    _C.CONNECTOR_REDUCE_ONLY: (
        "New positions are off on connector '{connector}'; exits still work. Look at its page for the reason."
    ),
    _C.EXCHANGE_FAILING: (
        "Not sent: {ambiguous} of the last {calls} calls to {venue} had no certain answer, so new positions are off "
        "there for everyone since {since}; exits still work. We keep asking and switch them on by ourselves. "
        "Send the alert again then."
    ),
    _C.INCIDENT_OPEN: (
        "Not sent: an incident is open ({incident}); new positions wait until it is resolved. Exits still work. "
        "Open Incidents for what to do."
    ),
    _C.CONNECTOR_DELETED: (
        "Not sent: connector '{connector}' was deleted before its order left, so no position was opened. "
        "Use the pointer of another connector."
    ),
    _C.PAUSED: "Paused: '{paused}' takes no new positions; exits still work. Press Resume to trade again.",
    _C.TRIAL_ENDED: (
        "Your trial ended on {ended}. New positions are off; exits and stops still work. Choose a plan to go on."
    ),
    _C.ENTRY_EXPIRED: (
        "Too old: this entry waited {age} s after it reached us, the limit is {limit} s. Nothing was sent. "
        "Check the connector's state, then send a new alert."
    ),
    _C.ALERT_TOO_OLD: (
        "Ignored: this alert is {age} s old, your limit is {limit} s. Raise 'Max lag' or check TradingView's delay."
    ),
    _C.EXIT_TOO_OLD: (
        "Too old: this exit is {age} s old (limit {limit} s), and no {closes} position on {symbol} is open from before "
        "it. Nothing was sent."
    ),
    _C.SYMBOL_NOT_TRADING: "Not traded: {symbol} is not trading at the exchange now. Choose another symbol or wait.",
    _C.SYMBOL_DELISTING: (
        "Not traded: {symbol} leaves the exchange at {delist_at}. "
        "New positions are off; close what is open before then."
    ),
    _C.SYMBOL_NOT_ALLOWED: (
        "Not traded: this connector may open {allowed} only, the alert is for {symbol}. "
        "Add it to 'Symbols' on the connector, or correct the ticker in the message."
    ),
    _C.DIRECTION_NOT_ALLOWED: (
        "Not traded: this connector opens {allowed} positions only, the alert opens a {side} on {symbol}. "
        "Change 'Direction' on the connector if you want both."
    ),
    _C.ADDS_BLOCKED: (
        "Not traded: {held} are held on {symbol} and this connector does not add to an open position. "
        "Change 'Adding to a position' on the connector if you want it to."
    ),
    _C.ADDS_USED_UP: (
        "Not traded: {held} are held on {symbol}, added to {made} times, and the most is {limit}. "
        "Raise the number of adds on the connector, or wait until the position is closed."
    ),
    _C.MAX_OPEN_POSITIONS: (
        "Over your limit: {others} open, the most at once is {limit}. Nothing was sent for "
        "{symbol}. Close one or raise the limit on the connector."
    ),
    _C.MAX_DAILY_LOSS: (
        "Over your limit: {lost} {quote} were lost today, the most is {limit} {quote}. New positions are off until "
        "{until}; exits still work. Wait, or raise 'Most lost in a day' on the connector."
    ),
    _C.PRICE_DEVIATION: (
        "Not traded: the price is {price}, {deviation} % from the {signal_price} in the alert; your limit is "
        "{limit} %. "
        "Raise 'Price deviation' or check for a late alert or a wrong symbol."
    ),
    _C.MAX_ORDER_NOTIONAL: (
        "Over your limit: this order is worth {notional} {quote}, the most for one order is {limit} {quote}. "
        "Send a smaller quantity or raise the limit on the connector."
    ),
    _C.MAX_OPEN_NOTIONAL: (
        "Over your limit: with this order {total} {quote} would be open ({open} {quote} now), the most is "
        "{limit} {quote}. "
        "Close something or raise the limit on the connector."
    ),
    _C.ORDER_RATE: (
        "Over your limit: {count} orders in the last minute, the most is {limit}. Nothing was sent. "
        "If the strategy means it, raise 'Most orders in a minute'; if not, look for an alert that fires too often."
    ),
    _C.RATE_BUDGET: (
        "Not sent: the exchange's request limit was used up for {waited} s. Nothing was sent. Send it again."
    ),
    _C.CLOCK_UNTRUSTED: (
        "Not sent: our clock could not be compared with the exchange's ({found}). New positions wait until it can."
    ),
    _C.SETUP_FAILED: "Not sent: {what} could not be set on {symbol}: {why}. Nothing was sent.",
    _C.CLOSE_LEG_FAILED: (
        "Not opened: the closing order of this reversal ended {state}, so the opening order was not sent. "
        "Check the position on {symbol} before the next alert."
    ),
    _C.CLOSE_LEG_TIMEOUT: (
        "Not opened: the closing order of this reversal was not filled within {limit} s. "
        "The opening order was not sent. "
        "Check the position on {symbol}."
    ),
    _C.ORDER_IN_DOUBT: (
        "Not sent: an earlier order on {symbol} has no proven outcome yet ({order}). New orders wait until it has."
    ),
    _C.TAKEN_BACK: "Taken back: this order on {symbol} was cancelled before it was sent. Nothing was sent.",
    _C.CANCELS_ONLY: "This message takes back our open orders on {symbol} and trades nothing.",
    _C.NOTHING_TO_CANCEL: (
        "Nothing to cancel: no order of ours is open on {symbol}. Nothing was sent; "
        "orders made elsewhere are left alone."
    ),
    _C.PROTECTION_ON_SPOT: (
        "Not traded: stop loss, take profit and trailing stop are placed on futures only, {symbol} is a spot market. "
        "Nothing was sent. Take them out of the message, or use the pointer of a futures connector."
    ),
    _C.PROTECTION_WRONG_SIDE: (
        "Not traded: the {what} at {found} lies on the wrong side of {price}, where this {side} on {symbol} opens. "
        "Nothing was sent. Correct it in the message, or give a percentage."
    ),
    _C.PROTECTION_TOO_SMALL: (
        "Not traded: {weight} % of this order are less than the smallest order on {symbol}, so a take profit of that "
        "share cannot be placed. Nothing was sent. Use fewer take profits or a larger quantity."
    ),
    _C.TRAILING_OUT_OF_RANGE: (
        "Not traded: the exchange follows at 0.1 to 5 per cent, the message asks for {found}. Nothing was sent. "
        'Change "trailing_stop" in the message.'
    ),
    _C.LIMIT_PRICE_MISSING: (
        "Not traded: a limit order on {symbol} needs a limit price. Nothing was sent. "
        'Add "limit_price" to the message, or use "order_type": "market".'
    ),
    _C.LIMIT_PRICE_TOO_SMALL: (
        "Not traded: the limit price {found} is below the smallest price step of {symbol} ({tick}). Nothing was sent. "
        'Check "limit_price" in the message.'
    ),
}

# What a sentence says of its alert is not so where the closing leg of a reversal goes all the same.
_IN_A_REVERSAL = (
    (re.compile("^Not (traded|sent):"), "Not opened:"),
    (
        re.compile("Nothing was sent(, exits included| for {symbol})?"),
        "This reversal only closes: its opening order was not sent",
    ),
)

_VERDICTS: dict[DenialCode, Verdict] = {
    _C.NOTHING_TO_CLOSE: Verdict.IGNORED,
    _C.ALREADY_AT_TARGET: Verdict.IGNORED,
    _C.SPOT_NO_SHORT: Verdict.IGNORED,
    _C.DUST_LEFT: Verdict.IGNORED,
    _C.TAKEN_BACK: Verdict.IGNORED,
    _C.NOTHING_TO_CANCEL: Verdict.IGNORED,
    _C.CANCELS_ONLY: Verdict.IGNORED,
    _C.PAUSED: Verdict.PAUSED,
    _C.ENTRY_EXPIRED: Verdict.TOO_OLD,
    _C.ALERT_TOO_OLD: Verdict.TOO_OLD,
    _C.EXIT_TOO_OLD: Verdict.TOO_OLD,
}


class _Facts(dict[str, str]):
    # A row written by an older release may lack a fact; its sentence must still render.
    def __missing__(self, key: str) -> str:
        return "—"


def verdict_of(code: DenialCode) -> Verdict:
    return _VERDICTS.get(code, Verdict.REJECTED)


def facts_of(code: DenialCode) -> frozenset[str]:
    """Return the names of the facts that the code's sentence shows."""
    return frozenset(name for _, name, _, _ in Formatter().parse(_SENTENCES[code]) if name)


@dataclass(frozen=True, slots=True)
class Denial:
    """Nothing was sent, and why. `facts` are plain texts, ready to be stored and shown."""

    code: DenialCode
    facts: Mapping[str, str] = field(default_factory=dict)

    @property
    def sentence(self) -> str:
        return _SENTENCES[self.code].format_map(_Facts(self.facts))

    def reason(self, *, is_opening_leg: bool) -> str:
        """Return the sentence as it fits an order's row; the opening leg of a reversal is not all that was asked."""
        sentence = _SENTENCES[self.code]
        for pattern, words in _IN_A_REVERSAL if is_opening_leg else ():
            sentence = pattern.sub(words, sentence)
        return sentence.format_map(_Facts(self.facts))[:500]

    @property
    def verdict(self) -> Verdict:
        return verdict_of(self.code)

    @property
    def is_error(self) -> bool:
        """False when the trader need not be alarmed: ignored and paused."""
        return self.verdict in {Verdict.REJECTED, Verdict.TOO_OLD}
