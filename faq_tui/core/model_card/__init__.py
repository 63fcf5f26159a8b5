"""The model card of an artefact: the README.md in its folder, in the form that the Hugging Face hub reads.

`target_card.py` reads what the card of an artefact repeats from the target: hub id, licence, languages. `licence.py`
describes a licence, and says whether it allows to publish a changed model. `front_matter.py` reads and writes the
YAML at the beginning of a card. `evidence.py` picks the results of one artefact from the report. `calibration.py`
describes the calibration set. `text.py` puts the card together. `files.py` writes the cards into the folders of the
artefacts. `privacy.py` removes this machine's folders from texts that may be published.

The card is written twice. When an artefact is made, its card says that no evidence exists yet. The stage `report`
writes the cards of all artefacts again, because only the report has verdicts that are corrected for all comparisons.
The manifest decides whether an artefact is complete, and the signature in the database identifies it. Neither depends
on the card.
"""
