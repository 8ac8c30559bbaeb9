"""Run by test_other_clients.py with ccxt on its path: trade on both markets and print what ccxt understood, as JSON."""

import json
import sys

import ccxt

base_url, key, secret, memo = sys.argv[1:5]
exchange = ccxt.bitmart({"apiKey": key, "secret": secret, "uid": memo, "enableRateLimit": False})
exchange.urls["api"] = dict.fromkeys(exchange.urls["api"], base_url)
SPOT, SWAP = "BTC/USDT", "BTC/USDT:USDT"
ISOLATED = {"leverage": 5, "marginMode": "isolated"}

seen: dict[str, object] = {"markets": [symbol in exchange.load_markets() for symbol in (SPOT, SWAP)]}
seen["last"] = [exchange.fetch_ticker(symbol)["last"] for symbol in (SPOT, SWAP)]
seen["asks"] = [exchange.fetch_order_book(symbol)["asks"][0][0] for symbol in (SPOT, SWAP)]
seen["candles"] = [len(exchange.fetch_ohlcv(symbol, "1m", limit=5)) for symbol in (SPOT, SWAP)]
seen["tickers"] = exchange.fetch_tickers()[SPOT]["last"]
seen["spot_free"] = exchange.fetch_balance()["USDT"]["free"]
seen["swap_free"] = exchange.fetch_balance({"type": "swap"})["USDT"]["free"]
seen["taker"] = exchange.fetch_trading_fee(SPOT)["taker"]

resting = exchange.create_order(SPOT, "limit", "buy", 0.01, 50000)
seen["spot_open"] = [order["id"] == resting["id"] for order in exchange.fetch_open_orders(SPOT)]
exchange.cancel_order(resting["id"], SPOT)
seen["spot_cancelled"] = exchange.fetch_order(resting["id"], SPOT)["status"]
bought = exchange.create_market_buy_order_with_cost(SPOT, 600)
seen["spot_fills"] = [
    (fill["amount"], fill["price"], fill["fee"]["cost"]) for fill in exchange.fetch_order_trades(bought["id"], SPOT)
]

exchange.set_leverage(5, SWAP, {"marginMode": "isolated"})
exchange.create_order(SWAP, "market", "buy", 10, None, ISOLATED)
position = exchange.fetch_positions([SWAP])[0]
seen["position"] = (position["side"], position["contracts"], position["entryPrice"], position["leverage"])
resting = exchange.create_order(SWAP, "limit", "buy", 3, 50000, ISOLATED)
seen["swap_open"] = [(order["price"], order["amount"]) for order in exchange.fetch_open_orders(SWAP)]
exchange.cancel_order(resting["id"], SWAP)
seen["swap_cancelled"] = exchange.fetch_order(resting["id"], SWAP)["status"]
plan = exchange.create_order(SWAP, "market", "buy", 3, None, ISOLATED | {"triggerPrice": 70000})
stop = exchange.create_order(SWAP, "market", "sell", 10, None, {"stopLossPrice": 50000, "reduceOnly": True})
waiting = exchange.fetch_open_orders(SWAP, params={"trigger": True})
seen["plans"] = sorted(order["id"] for order in waiting) == sorted([plan["id"], stop["id"]])
exchange.create_order(SWAP, "market", "sell", 10, None, {"reduceOnly": True})
seen["flat"] = [row["contracts"] for row in exchange.fetch_positions([SWAP])]
seen["swap_fills"] = sorted((fill["side"], fill["amount"], fill["price"]) for fill in exchange.fetch_my_trades(SWAP))
seen["transfer"] = exchange.transfer("USDT", 10, "spot", "swap")["amount"]
try:
    exchange.create_order(SPOT, "limit", "buy", 100, 50000)
except ccxt.InsufficientFunds as error:
    seen["refused"] = type(error).__name__
json.dump(seen, sys.stdout)
