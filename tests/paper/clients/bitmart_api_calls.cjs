// Run by test_other_clients.py with bitmart-api on NODE_PATH: trade on both markets and print the answers as JSON.
// This client signs GETs too, adds recvWindow to every body and sends what it is given as it is.
const { FuturesClientV2, RestClient } = require("bitmart-api");

const [baseUrl, apiKey, apiSecret, apiMemo] = process.argv.slice(2);
const spot = new RestClient({ apiKey, apiSecret, apiMemo, baseUrl });
const futures = new FuturesClientV2({ apiKey, apiSecret, apiMemo, baseUrl });

async function main() {
  const seen = {};
  seen.ticker = (await spot.getSpotTickerV3({ symbol: "BTC_USDT" })).data.last;
  seen.detail = (await futures.getFuturesContractDetails({ symbol: "BTCUSDT" })).data.symbols[0].contract_size;
  seen.wallet = (await spot.getSpotWalletBalanceV1()).data.wallet[0].available;
  seen.info = (await spot.getAccountInfoV1()).data.api_keys[0].is_current;

  const order = { symbol: "BTC_USDT", side: "buy", type: "limit", size: 0.01, price: "50000", client_order_id: "js1" };
  const id = (await spot.submitSpotOrderV2(order)).data.order_id;
  seen.open = (await spot.getSpotOpenOrdersV4({ symbol: "BTC_USDT" })).data.map((row) => row.clientOrderId);
  seen.cancelled = (await spot.cancelSpotOrderV3({ symbol: "BTC_USDT", order_id: id })).data.result;
  await spot.submitSpotOrderV2({ symbol: "BTC_USDT", side: "buy", type: "market", notional: 600 });
  seen.fill = (await spot.getSpotAccountTradesV4({ symbol: "BTC_USDT" })).data[0].size;

  await futures.setFuturesLeverage({ symbol: "BTCUSDT", leverage: "5", open_type: "isolated" });
  const entry = { symbol: "BTCUSDT", side: 1, type: "market", size: "10", leverage: 5, open_type: "isolated" };
  const placed = await futures.submitFuturesOrder({ ...entry, preset_stop_loss_price: "50000" });
  seen.placed = placed.data.price;
  seen.position = (await futures.getFuturesAccountPositionsV2({ symbol: "BTCUSDT" })).data[0].current_amount;
  seen.plans = (await futures.getFuturesAccountPlanOrders({ symbol: "BTCUSDT" })).data.map((row) => row.type);
  seen.trades = (await futures.getFuturesAccountTrades({ symbol: "BTCUSDT" })).data.map((row) => row.vol);
  const trail = { symbol: "BTCUSDT", side: 3, leverage: "5", open_type: "isolated", size: 4, activation_price: "70000" };
  await futures.submitFuturesTrailOrder({ ...trail, callback_rate: "1", activation_price_type: 1 });
  seen.trailing = (await futures.getFuturesAccountOpenOrders({ type: "trailing" })).data.map((row) => row.callback_rate);
  seen.transfer = (
    await futures.submitFuturesTransfer({ currency: "USDT", amount: "10", type: "spot_to_contract" })
  ).data.amount;
  seen.refused = await futures.submitFuturesOrder({ ...entry, size: 400000 }).catch((error) => error.body.code);
  console.log(JSON.stringify(seen));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
