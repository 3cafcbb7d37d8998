"""What tests ask of a colony over HTTP, as any client does."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any

import httpx2


class Questions(ABC):
    """Questions to the queen; who inherits knows her address.

    Attributes:
        queen_url: where she is.
    """

    queen_url: str

    @property
    @abstractmethod
    def http(self) -> httpx2.Client:
        """A client with the token, for absolute addresses."""

    def workers(self) -> list[dict[str, Any]]:
        """Workers as the queen lists them."""
        answer = self.http.get(f"{self.queen_url}/v1/workers/list")
        found: list[dict[str, Any]] = answer.raise_for_status().json()["workers"]
        return found

    def worker(self, model: str) -> dict[str, Any]:
        """The one worker of a model, by the model's short or canonical name."""
        (found,) = [one for one in self.workers() if model in {one["model_name"], one["model_id"]}]
        return found

    def worker_info(self, worker: Mapping[str, Any]) -> dict[str, Any]:
        """A worker as it tells of itself; slots come from the engine at that moment."""
        told: dict[str, Any] = self.http.get(f"{worker['url']}/info").raise_for_status().json()["worker"]
        return told

    def submit(self, operation: str, *, at: str | None = None, **fields: Any) -> str:
        """Start a job; returns its id.

        Args:
            operation: its name.
            at: address of the program that does it; None for the queen.
            fields: its arguments.
        """
        answer = self.http.post(f"{at or self.queen_url}/v1/jobs", json={"operation": operation, **fields})
        return str(answer.raise_for_status().json()["job_id"])

    def events(
        self, job_id: str, after: int | None = None, *, at: str | None = None
    ) -> Iterator[tuple[int | None, Any]]:
        """A job's events with their numbers; the last has no number and is the text of the stream's end."""
        headers = {} if after is None else {"last-event-id": str(after)}
        with self.http.stream("GET", f"{at or self.queen_url}/v1/jobs/{job_id}/stream", headers=headers) as answer:
            answer.raise_for_status()
            number: int | None = None
            for line in answer.iter_lines():
                name, _, value = line.partition(":")
                if name == "id":
                    number = int(value)
                elif name == "data":
                    text = value.strip()
                    yield number, json.loads(text) if number is not None else text
                    number = None

    def run_job(self, operation: str, *, at: str | None = None, **fields: Any) -> dict[str, Any]:
        """Run a job to its end; returns its last event, with the payload of ``result``, if any, under ``result``."""
        result = None
        last: dict[str, Any] = {}
        for number, event in self.events(self.submit(operation, at=at, **fields), at=at):
            if number is not None:
                last = event
                if event.get("action") == "result":
                    result = event["payload"]
        return {**last, "result": result}
