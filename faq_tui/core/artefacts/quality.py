"""Say in one sentence how close an artefact is to the unquantized model, and which artefact is the closest."""

from __future__ import annotations

from faq_tui.core.evaluation.identity import conditions_of
from faq_tui.core.evaluation.kinds import ANSWERS, KINDS, kind_of
from faq_tui.core.evaluation.metrics import KL
from faq_tui.core.stats.sums import Sums
from faq_tui.core.store.artefacts import Artefact, all_artefacts
from faq_tui.core.store.database import Store
from faq_tui.core.store.measurements import Measurement, all_measurements


def quality_in_words(store: Store, artefact: Artefact) -> str:
    """The artefact's KL on held-out answers, and the artefact with the lowest KL.

    If no answers were measured, another text with KL is used, such as prose.
    """
    measured = all_measurements(store)
    order = (ANSWERS, *(kind for kind in KINDS if kind != ANSWERS))
    texts = [text for (folder, text), m in measured.items() if folder == artefact.folder and "kl" in m.items]
    if not texts:
        return "not measured yet"
    text = min(texts, key=lambda name: order.index(kind_of(name)))
    own = measured[artefact.folder, text]
    conditions = conditions_of(own.signature)  # only measurements under the same conditions are comparable
    folders = dict.fromkeys(row.folder for row in all_artefacts(store).values())
    kl = {
        folder: _kl(other)
        for folder in folders
        if (other := measured.get((folder, text))) is not None
        and "kl" in other.items
        and conditions_of(other.signature) == conditions
    }
    kl.setdefault(artefact.folder, _kl(own))
    closest = min(kl, key=kl.__getitem__)
    words = f"KL {kl[artefact.folder]:.4f} nats per token on {text}"
    if len(kl) == 1:
        return words
    if closest == artefact.folder:
        return f"{words}, the lowest of {len(kl)} artefacts"
    return f"{words}; the lowest is {kl[closest]:.4f} ({closest})"


def _kl(measurement: Measurement) -> float:
    return float(KL.value_of(Sums.of(measurement.items)))
