"""Checks of a run's inputs: endpoints, target, judges and families.

Each check gives a finding. If the person should do something, the check also gives advice.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Literal

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import FaqError
from faq_tui.core.endpoints import Client, probe, stream_chat
from faq_tui.core.endpoints.capabilities import Capabilities, LearnedCapabilities
from faq_tui.core.endpoints.faults import RequestFault, explain
from faq_tui.core.endpoints.remembered import known_capabilities, stored_in
from faq_tui.core.family import FAMILY, check_sources, suggestions
from faq_tui.core.family.check import ask_servers
from faq_tui.core.judging.identity import judge_named
from faq_tui.core.models.folder_check import check_folder
from faq_tui.core.models.model_code import untrusted_code
from faq_tui.core.models.target import local_target
from faq_tui.core.quantizing.preflight import refuse_unquantizable
from faq_tui.core.quantizing.recipe_check import UnusableTarget
from faq_tui.core.run.run import Run
from faq_tui.core.settings import EMBEDDED, Endpoint, Sampling, Source
from faq_tui.core.settings.source import LOCAL, OFF
from faq_tui.core.stages.pipeline import all_stages
from faq_tui.core.stages.set_check import check_sets
from faq_tui.core.stages.setting_notices import setting_findings
from faq_tui.core.stages.target_check import check_models, in_words

TRIAL = [{"role": "user", "content": "Reply with the word yes."}]
TRIAL_TOKENS = 16
TRIAL_TIMEOUT_S = 30.0
JUDGING = Sampling(temperature=0.0, top_p=1.0)


@dataclass(frozen=True)
class Check:
    name: str
    state: Literal["ok", "warning", "failed"]
    found: str
    advice: str = ""  # what the person should do; "" if the check found no problem


def endpoint_checks(run: Run) -> list[Check]:
    """One check for each server that a source or a judge uses.

    Each server gets a short request with the parameters in the settings. The response shows which parameters the
    server accepts.
    """
    settings = run.settings
    named: dict[str, Endpoint] = {f"source {name}": source for name, source in settings.sources.items()}
    for kind in settings.judge.kinds():
        server = judge_named(kind).server(settings.judge)
        if server is not None:
            named[f"judge {kind}" if "judge" in named else "judge"] = server
    return [
        _check(run, name, endpoint.model_copy(update={"base_url": url, "also_at": ()}))
        for name, endpoint in named.items()
        for url in endpoint.urls
    ]


def _check(run: Run, name: str, endpoint: Endpoint) -> Check:
    if endpoint.base_url == EMBEDDED:
        return Check(name, "ok", "embedded: faq-tui starts this server when a stage needs it")
    if endpoint.base_url == LOCAL:
        return Check(name, "ok", f"local: faq-tui loads {endpoint.model} when a stage needs it")
    try:
        learned = stored_in(run.store, endpoint.base_url, endpoint.model)
        served, fault = asyncio.run(_probe(endpoint, learned))
    except FaqError as error:
        return Check(name, "failed", endpoint.shown_url, str(error))
    listed = endpoint.model if served else "the server lists no models, so the model's name is not checked"
    known = learned.current if fault is None else known_capabilities(run.store, endpoint.base_url, endpoint.model)
    found = "; ".join([f"{endpoint.shown_url}: {listed}", *known.in_words()])
    if fault is None:
        return Check(name, "warning" if known.left_out else "ok", found, _on_left_out(known))
    return Check(name, "failed" if fault.unreachable and not fault.retry else "warning", found, fault.advice)


def _on_left_out(known: Capabilities) -> str:
    if not known.left_out:
        return ""
    return "the server uses its own values for these parameters: if you need your values, serve the model elsewhere"


async def _probe(endpoint: Endpoint, learned: LearnedCapabilities) -> tuple[list[str], RequestFault | None]:
    """Send a short request. Return the names of the served models, and the fault that the server reported.

    The fault is None if the request succeeded. Raises EndpointError.
    """
    sampling = endpoint.sampling if isinstance(endpoint, Source) else JUDGING
    async with Client(endpoint, learned) as client:
        served = await probe(client, endpoint)
        short = sampling.model_copy(update={} if sampling.max_tokens == OFF else {"max_tokens": TRIAL_TOKENS})
        try:
            async with asyncio.timeout(TRIAL_TIMEOUT_S):
                await stream_chat(client, endpoint.model, TRIAL, short, sampling.first_seed, _extra(endpoint))
        except Exception as error:
            fault = explain(error, endpoint)
            if fault is None:
                raise
            return served, fault
    return served, None


def _extra(endpoint: Endpoint) -> dict[str, Any]:
    """The request parameter that switches the thinking of a source on or off. Some servers refuse this parameter."""
    if not isinstance(endpoint, Source) or endpoint.reasoning == "prompted":
        return {}
    return {"chat_template_kwargs": {"enable_thinking": endpoint.reasoning == "native"}}


def target_checks(run: Run) -> list[Check]:
    """Checks of the target and of local sources: files, tokenizers, chat templates, code, and what judges need."""
    return [*_models(run), _code(run), *_sets(run), *_settings(run), *judge_checks(run)]


def _settings(run: Run) -> list[Check]:
    """One check for each setting that has no effect, or probably not the effect that is wanted."""
    stages = [stage.name for stage in all_stages()]
    return [Check("settings", "warning", found, advice) for found, advice in setting_findings(run, stages)]


def _sets(run: Run) -> list[Check]:
    """A list with one check; the list is empty if the settings define no sets, and the default sets are usable."""
    try:
        check_sets(run)
    except FaqError as error:
        return [Check("sets", "failed", ", ".join(run.settings.sets) or "the default sets", str(error))]
    return [Check("sets", "ok", ", ".join(run.settings.sets))] if run.settings.sets else []


def judge_checks(run: Run) -> list[Check]:
    """One check for each judge that reports a finding about this machine."""
    checks = []
    for kind in run.settings.judge.kinds():
        try:
            detail = judge_named(kind).check_here(run)
        except FaqError as error:
            checks.append(Check(f"judge {kind}", "failed", judge_named(kind).title, str(error)))
            continue
        if detail:
            checks.append(Check(f"judge {kind}", "ok", detail))
    return checks


def _code(run: Run) -> Check:
    if run.settings.target.trust_remote_code:
        return Check("model code", "ok", "trust_remote_code = true, so Python code from the model's folder runs")
    refusal = untrusted_code(run)
    if refusal:
        return Check("model code", "failed", "the model's folder contains Python code", refusal)
    return Check("model code", "ok", "no Python code from the model's folder runs")


def _models(run: Run) -> list[Check]:
    """Check the target's files, then its tokenizer and its chat template."""
    name = run.settings.target.model
    if name == EMBEDDED:
        files = Check("target", "ok", "embedded")
    else:
        try:
            files = _target(run, name)
        except FaqError as error:
            return [Check("target", "failed", name, str(error))]
    if untrusted_code(run):
        return [files]  # another check reports that the folder contains code
    stages = [stage.name for stage in all_stages()]
    try:
        findings = check_models(run, stages, CancelToken(), run.cache / "doctor.log", lenient=True)
    except UnusableTarget as error:
        return [Check("target", "failed", name, str(error))]
    except FaqError as error:
        return [files, Check("chat template", "failed", "the tokenizer or the chat template failed", str(error))]
    found = "not tried" if findings.facts is None else f"tried: {in_words(findings.facts)}"
    if findings.facts is None and not findings.notices:
        return [files]
    if not findings.notices:
        return [files, Check("chat template", "ok", found)]
    return [files, *(Check("chat template", "warning", found, notice) for notice in findings.notices)]


def _target(run: Run, name: str) -> Check:
    """Check the target's files and recipes. Raises FaqError if the folder holds no model that can be loaded."""
    folder = local_target(run)
    if folder is None:
        return Check("target", "ok", f"{name}: a hub id; the model is checked after its download")
    check_folder("target.model", folder)
    try:
        refuse_unquantizable(run)
    except FaqError as error:
        return Check("target", "failed", str(folder), str(error))
    return Check("target", "ok", str(folder))


def family_checks(run: Run) -> list[Check]:
    """One check for the family of each source, and one for its size if the source is not larger than the target.

    Each server is asked once which model it has loaded. If the settings say that a source is the target itself, the
    size of this source is not checked.
    """
    ask_servers(run)
    elders = suggestions(run)
    advice = f"elders of its family: {', '.join(elders)}" if elders else "give a larger model of the target's family"
    checks = []
    for finding in check_sources(run):
        kin = finding.kinship
        words = f"{finding.badge}: {finding.model}; {'; '.join(kin.reasons)}"
        well = kin.verdict == FAMILY
        checks.append(Check(f"family {finding.source}", "ok" if well else "warning", words, "" if well else advice))
        if kin.not_larger and not finding.by_settings:
            checks.append(Check(f"size {finding.source}", "warning", kin.not_larger, advice if well else ""))
    return checks
