"""The operations `model_plan` and `model_search`: what could be had, and what each machine would make of it."""

from __future__ import annotations

from typing import Any

from rbee.catalog import Searches
from rbee.contract.wire import ModelPlan, ModelSearch, ModelsFound, Planned
from rbee.jobs import Narrator, parse
from rbee.queen.hives import Hives
from rbee.queen.plans import Plans


class Models:
    """Looks at models, wherever they are; changes nothing.

    Args:
        plans: makes plans.
        searches: asks the vendors beside the queen.
        hives: knows which are online.
    """

    def __init__(self, plans: Plans, searches: Searches, hives: Hives) -> None:
        self._plans = plans
        self._searches = searches
        self._hives = hives

    async def model_plan(self, body: dict[str, Any], say: Narrator) -> Planned:
        """What each hive would take of a model, and whether it fits."""
        wanted = parse(body, ModelPlan)
        hive_id = None if wanted.hive_id is None else self._hives.choose(wanted.hive_id)
        return await self._plans.plan(
            wanted, hive_id, lambda sentence: say.say("queen", "model_plan", sentence, wanted.model)
        )

    async def model_search(self, body: dict[str, Any], say: Narrator) -> ModelsFound:
        """Models that a person may mean, from all vendors at the same time."""
        return await self._searches.search(
            parse(body, ModelSearch), lambda sentence, vendor: say.say("queen", "model_search", sentence, vendor)
        )
