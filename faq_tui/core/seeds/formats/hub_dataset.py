"""A data set that the `datasets` library loads by its id, such as `openai/gsm8k`."""

from __future__ import annotations

from pathlib import Path

from faq_tui.core.base.errors import FaqError
from faq_tui.core.seeds.formats.base import Record, Records, SeedFormat, one_line
from faq_tui.core.settings import Seeds


class HubDataset(SeedFormat):
    name = "datasets"
    title = "a `datasets` id"
    help = "The id of a data set for the `datasets` library; `seeds.split` names the part that is read."

    def recognises(self, path: Path, name: str) -> bool:
        return not path.exists() and not name.startswith((".", "/", "~")) and name.count("/") <= 1

    def records(self, path: Path, settings: Seeds) -> Records:
        """Yield the rows of the split while they are downloaded. Raises FaqError if the download fails."""
        import datasets

        del path
        try:
            rows = datasets.load_dataset(settings.path, split=settings.split, streaming=True)
            for row, raw in enumerate(rows, 1):
                yield Record(row, raw)
        except Exception as error:  # noqa: BLE001  the library also raises all errors of its hub client
            raise FaqError(
                f"no file and no data set {settings.path!r} (split {settings.split!r}) could be read: "
                f"{one_line(error)}; check seeds.path, or the network"
            ) from None


FORMAT = HubDataset()
