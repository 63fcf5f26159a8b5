"""The embedded default with its real parts: pip, the real GGUF, plain transformers, llama.cpp's server."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from faq_tui.core.base.errors import FaqError, UsageError
from faq_tui.core.embedded import EmbeddedModel, EmbeddedServer, cached_model, gguf_file, running_server, server

pytestmark = pytest.mark.slow

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


def post(server: EmbeddedServer, path: str, body: dict[str, Any]) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", urlsplit(server.base_url).port or 0, timeout=60)
    with closing(connection):
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        return json.loads(connection.getresponse().read())


def test_answers_under_plain_transformers(model: Any, tokenizer: Any) -> None:
    chat = [{"role": "user", "content": "What is the capital of France?"}]
    inputs = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt", return_dict=True)
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
    model: Any, tokenizer: Any, embedded_server: EmbeddedServer
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
        reply = post(embedded_server, "/completion", {"prompt": ids, "n_predict": 1, "n_probs": 5, "temperature": 0})
        top = reply["completion_probabilities"][0]["top_logprobs"]
        with torch.no_grad():
            ours = torch.log_softmax(model(torch.tensor([ids])).logits[0, -1], -1)
        differences += [abs(float(ours[entry["id"]]) - entry["logprob"]) for entry in top]
        agreed += int(ours.argmax()) == top[0]["id"]
    assert agreed >= len(prompts) - 1
    assert sum(differences) / len(differences) < 0.2, differences


# --- the tokenizer ---


def server_tokens(server: EmbeddedServer, text: str) -> list[int]:
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
def test_same_tokens_as_the_server_on_any_text(text: str, tokenizer: Any, embedded_server: EmbeddedServer) -> None:
    assert tokenizer.encode(text, add_special_tokens=False) == server_tokens(embedded_server, text)


for text_ in TEXTS:
    test_same_tokens_as_the_server_on_any_text = example(text=text_)(test_same_tokens_as_the_server_on_any_text)


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
def client(embedded_server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    import openai

    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with openai.OpenAI(base_url=embedded_server.base_url, api_key="none") as client:
        yield client


def test_server_streams_candidates_and_usage(client: Any, embedded_server: EmbeddedServer) -> None:
    assert [entry.id for entry in client.models.list()] == [gguf_file.MODEL_NAME] == [embedded_server.model]
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


def test_server_enforces_a_json_schema(client: Any, embedded_server: EmbeddedServer) -> None:
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


def test_server_holds_eight_requests_of_a_thousand_tokens(embedded_server: EmbeddedServer) -> None:
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
    assert json.loads(line) == {"base_url": f"http://127.0.0.1:{port}/v1", "model": gguf_file.MODEL_NAME}
    assert rest == ""
    assert (taken.returncode, taken.stdout) == (1, "")
    assert f"the embedded server did not start on port {port}: " in taken.stderr  # llama.cpp may write after it


@pytest.mark.parametrize(("cores", "threads"), [(None, 1), (1, 1), (2, 1), (3, 2), (4, 3), (64, 8)])
def test_one_core_is_left_for_the_pipeline(cores: int | None, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    assert server.threads() == threads


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


def test_server_without_xllamacpp_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with (
        pytest.raises(UsageError, match=r"pip install 'faq-tui\[embedded\]'"),
        running_server(tmp_path / "log"),
    ):
        pass
