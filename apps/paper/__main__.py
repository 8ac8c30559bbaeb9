import argparse
import os

from apps.paper.server import serve


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m apps.paper", description="Run the paper exchange.")
    parser.add_argument("--host", default=os.environ.get("PAPER_HOST", "127.0.0.1"))
    parser.add_argument("--port", type=int, default=int(os.environ.get("PAPER_PORT", "8801")))
    parser.add_argument("--state", default=os.environ.get("STATE_DIR", "paper-state"), help="directory of the store")
    parser.add_argument("--seed", type=int, default=int(os.environ.get("PAPER_SEED", "1")), help="of the price path")
    parser.add_argument("--control-token", default=os.environ.get("PAPER_CONTROL_TOKEN", ""))
    parser.add_argument("--faults", action="store_true", help="allow faults to be ordered at /_paper/faults")
    options = parser.parse_args()
    serve(
        options.host,
        options.port,
        options.state,
        options.seed,
        options.control_token,
        faults=options.faults,
    )


main()
