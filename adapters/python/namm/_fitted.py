"""Policies that know where they come from: what calibrate() and evolve() give."""

from __future__ import annotations

import json
import os
from typing import Any

from ._core import Policy


class FittedPolicy(Policy):
    provenance: dict[str, Any]  # model, settings, date, version: what the policy file says

    def save(self, path: "str | os.PathLike[str]", provenance: str | None = None) -> None:
        """Writes a policy file that says where it comes from."""
        super().save(os.fspath(path), json.dumps(self.provenance) if provenance is None else provenance)
