"""`[judge]`: who marks the candidates."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from faq_tui.core.settings.section import Count, Section
from faq_tui.core.settings.source import Endpoint


class Judge(Section):
    """Who marks the candidates."""

    kind: Literal["llm", "likelihood"] = "likelihood"
    base_url: str | None = None
    model: str | None = None
    api_key_env: str | None = None
    concurrency: Annotated[int, Field(ge=1, le=4096)] = 16
    retries: Annotated[int, Field(ge=0, le=100)] = 5
    max_tokens: Count = 512
    reasoning_characters: Count = 16000  # longer reasoning is cut in the middle before it is shown; answers never

    @model_validator(mode="after")
    def _llm_needs_a_server(self) -> Judge:
        if self.kind == "llm" and not (self.base_url and self.model):
            raise ValueError('kind "llm" needs base_url and model')
        return self

    def endpoint(self) -> Endpoint:
        """The judge's server. Only for kind `llm`."""
        assert self.base_url is not None and self.model is not None
        return Endpoint(
            base_url=self.base_url,
            model=self.model,
            api_key_env=self.api_key_env,
            concurrency=self.concurrency,
            retries=self.retries,
        )
