"""`python -m anisotropy COMMAND ...`: what can be done without a notebook; without a command, what there is."""

import importlib
import os
import sys

from anisotropy._util import files

COMMANDS = {
    "measure": ("cli.measure", "measure the NADs of a network, by name"),
    "reproduce": ("cli.reproduce", "run the notebooks"),
    "report": ("cli.report", "write the report, one HTML file"),
    "site": ("cli.site", "build the site: articles, statements, guides, API, search"),
    "record": ("results.record", "check the committed results, or add to them"),
    "audit": ("cli.audit", "compute lines of the record again, drawn at random"),
    "statements": ("paper.statements_page", "judge the statements of the paper"),
    "campaign": ("experiments.campaign", "compute what the record is to hold, in the background"),
    "gallery": ("experiments.gallery", "measure what networks of today answer to at 224 x 224, for the record"),
    "gallery-figure": ("paper.gallery_figures", "draw what the record holds of them"),
    "discrimination": ("paper.discrimination", "measure what foretells the published Fig. 1, for the record"),
    "foretold": ("paper.foretold", "draw the figure of the README"),
}


def main() -> int:
    """Run the command that the first word names, and answer what happens to it outside of itself without a traceback.

    Characters that the terminal's encoding lacks are spelt out; Ctrl-C ends it with status 130, and a reader of its
    output that goes away, as `head` does, with 141: what shells give for these. Names that are too long, folders that
    may not be written and full disks end it with status 2 and what to do, where the command itself did not see to it.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # None where it is closed
            stream.reconfigure(errors="backslashreplace")
    try:
        status = _command()
        if sys.stdout is not None:
            sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        print("interrupted; files that were there before are whole", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains as it ends
        return 141
    except OSError as error:
        if not files.advice(error):
            raise
        print(f"error: {error.strerror}: {error.filename or 'standard output'}{files.advice(error)}", file=sys.stderr)
        return 2


def _command() -> int:
    """Hand the rest of the command line on."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name not in COMMANDS:
        shown = "\n".join(f"  {command:14s} {what}" for command, (_, what) in COMMANDS.items())
        asked = name in ("-h", "--help")
        print(f"usage: python -m anisotropy COMMAND [--help]\n{shown}", file=sys.stdout if asked else sys.stderr)
        return 0 if asked else 2
    return importlib.import_module(f"anisotropy.{COMMANDS[name][0]}").main(sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())
