import argparse
import os
from pathlib import Path

from apps.paper.instruments import KNOWN, MOST
from apps.paper.server import Choices, serve


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m apps.paper", description="Run the paper exchange.")
    parser.add_argument("--host", default=os.environ.get("PAPER_HOST", "127.0.0.1"))
    parser.add_argument("--port", type=int, default=int(os.environ.get("PAPER_PORT", "8801")))
    parser.add_argument("--state", default=os.environ.get("STATE_DIR", "paper-state"), help="directory of the store")
    parser.add_argument("--seed", type=int, default=int(os.environ.get("PAPER_SEED", "1")), help="of the price path")
    parser.add_argument("--control-token", default=os.environ.get("PAPER_CONTROL_TOKEN", ""))
    parser.add_argument("--faults", action="store_true", help="allow faults to be ordered at /_paper/faults")
    parser.add_argument(
        "--instruments",
        type=int,
        default=int(os.environ.get("PAPER_INSTRUMENTS", str(KNOWN))),
        help=f"pairs of each market, {KNOWN} known ones and then made-up ones, up to {MOST}",
    )
    parser.add_argument("--prices", type=Path, help="CSV of symbol,time_ms,price to follow instead of the walk")
    parser.add_argument(
        "--policy", action="append", default=[], metavar="NAME=CHOICE", help="what BitMart does where nobody knows"
    )
    parser.add_argument(
        "--sockets-of-one-address",
        type=int,
        default=int(os.environ.get("PAPER_SOCKETS_OF_ONE_ADDRESS", "0")),
        help="WebSocket connections one address may hold; 0 for BitMart's figures",
    )
    options = parser.parse_args()
    if not 1 <= options.instruments <= MOST:
        parser.error(f"--instruments must be between 1 and {MOST}")
    serve(
        options.host,
        options.port,
        options.state,
        options.seed,
        options.control_token,
        faults=options.faults,
        choices=Choices(
            instruments=options.instruments,
            prices_file=options.prices,
            policies=dict(choice.split("=", 1) for choice in options.policy),
            sockets_of_one_address=options.sockets_of_one_address,
        ),
    )


main()
