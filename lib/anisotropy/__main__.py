"""`python -m anisotropy COMMAND ...`: what can be done without a notebook; without a command, what there is."""

import importlib
import sys

COMMANDS = {
    "reproduce": ("cli.reproduce", "run the notebooks"),
    "report": ("cli.report", "write the report, one HTML file"),
    "record": ("results.record", "check the committed results, or add to them"),
    "audit": ("experiments.audit", "compute lines of the record again, drawn at random"),
    "campaign": ("experiments.campaign", "compute what the record is to hold, in the background"),
    "discrimination": ("paper.discrimination", "measure what foretells the published Fig. 1, for the record"),
}


def main() -> int:
    """Hand the rest of the command line on to the command that its first word names."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name not in COMMANDS:
        shown = "\n".join(f"  {command:14s} {what}" for command, (_, what) in COMMANDS.items())
        asked = name in ("-h", "--help")
        print(f"usage: python -m anisotropy COMMAND [--help]\n{shown}", file=sys.stdout if asked else sys.stderr)
        return 0 if asked else 2
    return importlib.import_module(f"anisotropy.{COMMANDS[name][0]}").main(sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())
