"""The panes in the order of their tabs. To add a pane, add its folder to this package and its PaneSpec to PANES."""

from faq_tui.tui.panes.evidence.spec import EVIDENCE
from faq_tui.tui.panes.judge.spec import JUDGE
from faq_tui.tui.panes.quantize.spec import QUANTIZE
from faq_tui.tui.panes.regenerate.spec import REGENERATE
from faq_tui.tui.panes.seeds.spec import SEEDS
from faq_tui.tui.panes.spikes.spec import SPIKES

PANES = (SEEDS, REGENERATE, JUDGE, SPIKES, QUANTIZE, EVIDENCE)
