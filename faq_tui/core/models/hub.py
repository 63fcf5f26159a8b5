"""Find the folder of a model: a local folder, or the folder of a hub id in the cache.

A hub model is downloaded first.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from faq_tui.core.base.errors import UsageError, shortage
from faq_tui.core.base.steps import BYTES, StepProgress, step
from faq_tui.core.base.text import sanitize

# Patterns of the files to download. Weights are downloaded only as safetensors, not as .bin, .pth, .gguf or .onnx.
WANTED = ["*.json", "*.safetensors", "*.txt", "*.model", "*.tiktoken", "*.jinja", "*.py", "LICENSE*"]
SMALL = ["*.json", "*.txt", "*.model", "*.tiktoken", "*.jinja"]  # all files except weights and code
LONGEST = 200  # characters of an error of the hub's library
LOOK_UP_TIMEOUT_S = 5.0
AGAIN = ["consolidated*"]  # Mistral's second copy of the weights is not downloaded


def cached_folder(model: str) -> Path | None:
    """The folder of a hub id in this machine's cache; None if the model was not downloaded. No network is used."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(model, allow_patterns=WANTED, ignore_patterns=AGAIN, local_files_only=True))
    except (HFValidationError, LocalEntryNotFoundError, OSError):
        return None


def local_folder(model: str, only_config: bool = False) -> Path:
    """The folder of `model`. Raises UsageError if `model` is neither a local folder nor a model of the hub."""
    if Path(model).is_dir():
        return Path(model)
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        patterns = SMALL if only_config else WANTED
        with step(f"downloading {model}", BYTES, at_once=False) as progress:
            bars = _bars(progress)
            folder = Path(snapshot_download(model, allow_patterns=patterns, ignore_patterns=AGAIN, tqdm_class=bars))
        if not only_config:
            fetch_card(model, folder.name)  # the folder has the name of the downloaded revision
        return folder
    except HFValidationError as error:
        raise UsageError(f"target model {model!r} is neither a folder nor a hub id: check the path") from error
    except LocalEntryNotFoundError as error:
        raise UsageError(
            f"target model {model!r} is not in the cache and the hub cannot be reached: give a folder"
        ) from error
    except Exception as error:
        if shortage(error):
            raise
        # The hub's HTTP client has many kinds of errors, for example for a wrong URL in $HF_ENDPOINT or $HTTPS_PROXY.
        raise UsageError(
            f"target model {model!r} cannot be fetched ({type(error).__name__}: {sanitize(str(error), LONGEST)}): "
            "check its name, your access to it, $HF_ENDPOINT and the proxy"
        ) from error


CARD = "README.md"


def fetch_card(model: str, revision: str | None = None) -> None:
    """Download the card of a hub model into the cache, because it states the licence. No error is raised: a model
    without a card can be used, too.

    The card is not in WANTED: a cache that an earlier version of faq-tui filled has no card, and would then count as
    incomplete when the hub cannot be reached.
    """
    from huggingface_hub import hf_hub_download, try_to_load_from_cache

    with suppress(Exception):
        # None: the cache does not know whether the hub has a card
        if try_to_load_from_cache(model, CARD, revision=revision) is None:
            silent = _bars(None)
            hf_hub_download(model, CARD, revision=revision, etag_timeout=LOOK_UP_TIMEOUT_S, tqdm_class=silent)


def _bars(progress: StepProgress | None) -> type[Any]:
    """The class of a download's progress bars. The bars draw nothing, and report the bytes that are written.

    Without `progress`, the bars report nothing.
    """
    from tqdm.auto import tqdm

    class ReportedBar(tqdm):  # type: ignore[misc, unused-ignore]
        def __init__(self, *arguments: Any, **named: Any) -> None:
            # The hub counts the bytes from the network in one bar, the written bytes in another, and the files in a
            # third. Some repositories send compressed bytes, so the bytes from the network do not add up to the size.
            self.counts = named.get("unit") == "B" and not str(named.get("desc")).startswith("Downloading")
            super().__init__(*arguments, **{**named, "disable": True})
            self.written, self.total = int(named.get("initial") or 0), named.get("total")

        def update(self, n: float | None = 1) -> None:
            self.written += int(n or 0)
            if self.counts and self.total and progress is not None:
                progress.advance(self.written, int(self.total))

    return ReportedBar


@dataclass(frozen=True)
class HubModel:
    """The hub's facts about a model."""

    weights: int | None  # bytes of the weights that would be downloaded; None if unknown
    gated: bool  # True if the model's owner must grant access


def look_up(model: str) -> HubModel | None:
    """Ask the hub about a model. Returns None if the hub does not answer.

    Raises UsageError if the hub does not have the model.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import GatedRepoError, HFValidationError, RepositoryNotFoundError

    try:
        info = HfApi().model_info(model, timeout=LOOK_UP_TIMEOUT_S, files_metadata=True)
    except GatedRepoError:
        return HubModel(None, gated=True)
    except RepositoryNotFoundError:
        raise UsageError(
            f"the hub has no model {model}, or you have no access to it: check its name, and log in to the hub"
        ) from None
    except HFValidationError:
        raise UsageError(f"{model!r} is not a hub id: a hub id looks like Qwen/Qwen3-8B") from None
    except Exception:  # noqa: BLE001  the hub may be unreachable for many reasons; the run will try again
        return None
    weights = sum(file.size or 0 for file in info.siblings or [] if _is_weights(file.rfilename))
    return HubModel(weights or None, bool(info.gated))


def _is_weights(name: str) -> bool:
    """True if the file holds weights that `local_folder` downloads."""
    return name.endswith(".safetensors") and not any(fnmatch(name, pattern) for pattern in AGAIN)
