"""Checks of a run's inputs: endpoints, target, judges and families.

The result of each check is a finding, and advice if needed.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Literal

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import FaqError
from faq_tui.core.endpoints import open_client, probe
from faq_tui.core.family import FAMILY, check_sources, suggestions
from faq_tui.core.family.check import ask_servers
from faq_tui.core.judging.identity import judge_named
from faq_tui.core.models.folder_check import check_folder
from faq_tui.core.models.model_code import untrusted_code
from faq_tui.core.models.target import local_target
from faq_tui.core.quantizing.preflight import refuse_unquantizable
from faq_tui.core.run.run import Run
from faq_tui.core.settings import EMBEDDED, Endpoint, Settings
from faq_tui.core.settings.source import LOCAL
from faq_tui.core.stages.pipeline import all_stages
from faq_tui.core.stages.target_check import check_models, in_words


@dataclass(frozen=True)
class Check:
    name: str
    state: Literal["ok", "warning", "failed"]
    found: str
    advice: str = ""  # what the person should do; "" if the check found no problem


def endpoint_checks(settings: Settings) -> list[Check]:
    named: dict[str, Endpoint] = {f"source {name}": source for name, source in settings.sources.items()}
    for kind in settings.judge.kinds():
        server = judge_named(kind).server(settings.judge)
        if server is not None:
            named[f"judge {kind}" if "judge" in named else "judge"] = server
    return [
        _check(name, endpoint.model_copy(update={"base_url": url, "also_at": ()}))
        for name, endpoint in named.items()
        for url in endpoint.urls
    ]


def _check(name: str, endpoint: Endpoint) -> Check:
    if endpoint.base_url == EMBEDDED:
        return Check(name, "ok", "embedded: faq-tui starts this server when a stage needs it")
    if endpoint.base_url == LOCAL:
        return Check(name, "ok", f"local: faq-tui loads {endpoint.model} when a stage needs it")
    try:
        served = asyncio.run(_probe(endpoint))
    except FaqError as error:
        return Check(name, "failed", endpoint.base_url, str(error))
    listed = endpoint.model if served else "the server lists no models, so the model's name is not checked"
    return Check(name, "ok", f"{endpoint.base_url}: {listed}")


async def _probe(endpoint: Endpoint) -> list[str]:
    async with open_client(endpoint) as client:
        return await probe(client, endpoint)


def target_checks(run: Run) -> list[Check]:
    """Checks of the target and of local sources: files, tokenizers, chat templates, code, and what judges need."""
    return [*_models(run), _code(run), *judge_checks(run)]


def judge_checks(run: Run) -> list[Check]:
    """One check for each judge that has a finding about this machine."""
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
        return Check("model code", "ok", "trust_remote_code = true, so Python code of the model's folder runs")
    refusal = untrusted_code(run)
    if refusal:
        return Check("model code", "failed", "the model's folder contains Python code", refusal)
    return Check("model code", "ok", "no Python code of the model's folder runs")


def _models(run: Run) -> list[Check]:
    """The check of the target's files. If the folder is a model, also the check of its tokenizer and template."""
    name = run.settings.target.model
    if name == EMBEDDED:
        files = Check("target", "ok", "embedded")
    else:
        try:
            files = _target(run, name)
        except FaqError as error:
            return [Check("target", "failed", name, str(error))]
    if untrusted_code(run):
        return [files]  # the check of the code reports the problem
    stages = [stage.name for stage in all_stages()]
    try:
        findings = check_models(run, stages, CancelToken(), run.cache / "doctor.log", lenient=True)
    except FaqError as error:
        return [files, Check("chat template", "failed", "the tokenizers and chat templates were tried", str(error))]
    found = "not tried" if findings.facts is None else f"tried: {in_words(findings.facts)}"
    if findings.facts is None and not findings.notices:
        return [files]
    if not findings.notices:
        return [files, Check("chat template", "ok", found)]
    return [files, *(Check("chat template", "warning", found, notice) for notice in findings.notices)]


def _target(run: Run, name: str) -> Check:
    """The check of the target's files and recipes. Raises FaqError if the folder is no model that can be loaded."""
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
    """One check for each source. Each server gets only one request, which asks which model the server has loaded."""
    ask_servers(run)
    elders = suggestions(run)
    advice = f"elders of its family: {', '.join(elders)}" if elders else "name a larger model of the target's family"
    checks = []
    for finding in check_sources(run):
        kin = finding.kinship
        words = f"{finding.badge}: {finding.model}; {'; '.join(kin.reasons)}"
        well = kin.verdict == FAMILY and (kin.itself or kin.larger is not False)
        if kin.verdict == FAMILY and not well:
            words += "; it is not larger than the target, but an elder must be larger"
        checks.append(Check(f"family {finding.source}", "ok" if well else "warning", words, "" if well else advice))
    return checks
