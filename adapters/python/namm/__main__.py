"""python -m namm import CKPT.pt POLICY | export POLICY CKPT.pt"""

from __future__ import annotations

import argparse
import sys

from . import Policy, __version__, export_checkpoint, import_checkpoint


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m namm", description="Checkpoints of the NAMM reference, to policy files and back.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True)
    reads = commands.add_parser("import", help="a checkpoint (ckpt.pt) becomes a policy file")
    reads.add_argument("checkpoint")
    reads.add_argument("policy", help="the file to write: JSON, or binary if it ends in .safetensors")
    reads.add_argument("--best-member", action="store_true", help="the best member instead of the mean of the distribution")
    writes = commands.add_parser("export", help="a policy file of kind `namm` becomes a checkpoint")
    writes.add_argument("policy")
    writes.add_argument("checkpoint", help="the file to write")
    values = parser.parse_args(arguments)
    try:
        if values.command == "import":
            policy = import_checkpoint(values.checkpoint, "best_member" if values.best_member else "mean")
            policy.save(values.policy)
        else:
            export_checkpoint(Policy(values.policy), values.checkpoint)
    except (ValueError, RuntimeError, OSError) as error:
        print(f"namm {values.command}: {error}", file=sys.stderr)
        return 2 if isinstance(error, ValueError) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
