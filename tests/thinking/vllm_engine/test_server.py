"""A server on loopback with a tiny model behind it, and everything that can go wrong with one."""
import threading
import warnings
from concurrent.futures import CancelledError

import pytest
from fake_vllm import FakeVllm, fake_server
from readings_and_records import READOUTS, assert_same_reading, request

from basics.errors import UserError
from evaluation_tool import answer_readout
from thinking.sampling import Sampling
from thinking.vllm_engine import http_client
from thinking.vllm_engine.model import VllmModel, connect

CAPS = (0, 3, 15)
LETTERS = {"answer": answer_readout(4)}


@pytest.fixture(autouse=True)
def quick_tries(monkeypatch):
    """No test waits for a server to come back."""
    monkeypatch.setattr(http_client, "_WAITS", (0.01,) * 4)
    monkeypatch.delenv(http_client.API_KEY, raising=False)


@pytest.fixture
def server(tiny_model):
    with fake_server(FakeVllm(tiny_model.engine.model), tiny_model.encoder.model_name) as handler:
        yield handler


def connected(tiny_model, url, tokens_per_row=400, dtype="auto"):
    encoder, sampling = tiny_model.encoder, Sampling(1.0, 1.0, 0)
    return VllmModel(encoder, sampling, connect(url, encoder, tokens_per_row, dtype), tokens_per_row, dtype)


def read(tiny_model, url, readouts=LETTERS):
    model = connected(tiny_model, url)
    try:
        return model.read_thoughts([request(1, CAPS, readouts)])[0]
    finally:
        model.close()


def one_line(caught):
    text = str(caught.value)
    assert "\n" not in text
    return text


@pytest.mark.parametrize("suffix", ["", "/", "/v1", "/v1/"])
def test_readings_over_the_network_are_those_of_the_transformers_engine(tiny_model, server, suffix):
    (expected,) = tiny_model.read_thoughts([request(1, CAPS)])
    for first, second in zip(read(tiny_model, server.url + suffix, READOUTS), expected, strict=True):
        assert_same_reading(first, second)


def test_prompts_are_ids_and_readouts_with_the_same_tokens_share_a_request(tiny_model, server):
    read(tiny_model, server.url, READOUTS)
    reading = [body for body in server.requests if "logprob_token_ids" in body]
    prompts = [len(body["prompt"]) for body in reading]
    assert max(prompts) > 5
    assert len(reading) < sum(prompts) / 2
    for body in server.requests:
        assert all(isinstance(token_id, int) for prompt in body["prompt"] for token_id in prompt)
        assert body["return_token_ids"] is True
        assert body["add_special_tokens"] is False


# --- a server that cannot serve the run is refused before anything is computed ----------------------------------------


def test_nobody_there(tiny_model):
    with pytest.raises(UserError) as caught:
        connected(tiny_model, "http://127.0.0.1:9")
    assert one_line(caught).startswith("ENGINE = 'http://127.0.0.1:9': it cannot be reached (ConnectError")


def test_not_a_vllm(tiny_model, server):
    server.paths_missing = ("/version",)
    with pytest.raises(UserError) as caught:
        connected(tiny_model, server.url)
    assert "no vLLM answers there (/version says nothing of one); endpoints that give text alone" in one_line(caught)


def test_another_model(tiny_model, server):
    server.model_name = "another/model"
    with pytest.raises(UserError) as caught:
        connected(tiny_model, server.url)
    wanted = tiny_model.encoder.model_name
    assert f"it serves 'another/model', and model_name is {wanted!r}" in one_line(caught)


def test_rows_that_are_too_short(tiny_model, server):
    server.max_model_len = 399
    with pytest.raises(UserError, match=r"rows hold 399 tokens \(--max-model-len\), this run needs 401"):
        connected(tiny_model, server.url)


def test_a_processor_of_another_version(tiny_model, server):
    server.vllm = FakeVllm(tiny_model.engine.model, facts={"version": "old"})
    with pytest.raises(UserError, match="logits processor of another version of this program"):
        connected(tiny_model, server.url)


@pytest.mark.parametrize(
    ("has_processor", "words"),
    [(True, "is float32; start it with --dtype"), (False, "is not known: vLLM does not say it")],
)
def test_weights_in_another_format_than_asked_for(tiny_model, server, has_processor, words):
    server.vllm = FakeVllm(tiny_model.engine.model, has_processor)
    with pytest.raises(UserError) as caught:
        connected(tiny_model, server.url, dtype="bfloat16")
    assert one_line(caught).startswith(f"DTYPE = 'bfloat16': the number format of vLLM's weights {words}")


def test_weights_in_the_format_that_was_asked_for(tiny_model, server):
    model = connected(tiny_model, server.url, dtype="float32")
    try:
        assert model.identity()["dtype"] == "float32"
        (expected,) = tiny_model.read_thoughts([request(1, CAPS, LETTERS)])
        for first, second in zip(model.read_thoughts([request(1, CAPS, LETTERS)])[0], expected, strict=True):
            assert_same_reading(first, second)
    finally:
        model.close()


def without(name):
    def change(answer):
        for choice in answer["choices"]:
            choice.pop(name)
        return answer

    return change


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("token_ids", "gives text alone and no token ids"),
        ("prompt_token_ids", "gives text alone and no token ids"),
        ("logprobs", "gives no log probabilities"),
    ],
)
def test_an_endpoint_that_gives_too_little(tiny_model, server, name, words):
    server.faults, server.probes_fail = [without(name)] * 3, True
    with pytest.raises(UserError) as caught:
        connected(tiny_model, server.url)
    assert words in one_line(caught)


@pytest.mark.parametrize(
    "url",
    ["http://me:hunter2@127.0.0.1:1", "http://127.0.0.1:1/v1?key=hunter2", "http://127.0.0.1:1/#hunter2"],
)
def test_a_secret_in_the_url_is_refused_and_not_repeated(tiny_model, url):
    with pytest.raises(UserError) as caught:
        connected(tiny_model, url)
    assert "hunter2" not in one_line(caught)
    assert "VLLM_API_KEY" in str(caught.value)


def test_the_key_comes_from_the_environment(tiny_model, server, monkeypatch):
    server.api_key = "hunter2"
    with pytest.raises(UserError) as caught:
        connected(tiny_model, server.url)
    assert "refuses the API key (status 401); set the environment variable VLLM_API_KEY" in one_line(caught)
    monkeypatch.setenv("VLLM_API_KEY", "hunter2")
    model = connected(tiny_model, server.url)
    assert "hunter2" not in f"{model.place}{model.identity()}{model.remark()}"
    model.close()


@pytest.mark.parametrize("url", ["http://me:hunter2@host:abc", "http://me:hunter2@[::1"])
def test_what_is_no_url_is_not_repeated_either(tiny_model, url):
    with pytest.raises(UserError) as caught:
        connected(tiny_model, url)
    assert one_line(caught) == "ENGINE: it is no URL of a server, such as http://localhost:8000"


# --- a server that fails on the way is asked again, within bounds -----------------------------------------------------


@pytest.mark.parametrize("fault", [429, 500, 503, "garbage", "cut", lambda answer: {"choices": answer["choices"][:0]},
                                   lambda answer: {}, lambda answer: []])  # fmt: skip
def test_what_may_be_over_in_a_moment_is_tried_again_and_changes_no_reading(tiny_model, server, fault, capsys):
    expected = read(tiny_model, server.url)
    server.faults = [fault, fault, fault]
    for first, second in zip(read(tiny_model, server.url), expected, strict=True):
        assert_same_reading(first, second, tolerance=0)
    assert server.faults == []
    lines = capsys.readouterr().err.strip().splitlines()
    assert any("it is tried again for up to" in line for line in lines)
    assert "it answers again" in lines[-1]


def test_tries_are_bounded_and_the_last_word_is_one_line(tiny_model, server):
    server.faults = [429] * 50
    with pytest.raises(UserError) as caught:
        read(tiny_model, server.url)
    said = "it answered with status 429 (the queue is full), and so it did after several tries; what was computed is"
    assert said in one_line(caught)


def test_what_another_try_would_not_mend_is_not_tried_again(tiny_model, server):
    server.faults = [400] * 2
    with pytest.raises(UserError, match=r"refuses /v1/completions with status 400 \(the queue is full\)"):
        read(tiny_model, server.url)
    assert len(server.faults) == 1


def test_another_server_that_came_back_is_refused(tiny_model, server):
    model = connected(tiny_model, server.url)
    server.vllm, server.faults = FakeVllm(tiny_model.engine.model, has_processor=False), ["cut"]
    with pytest.raises(UserError, match="come back with other promises"):
        model.read_thoughts([request(1, CAPS)])
    model.close()


# --- a wrong answer is never recorded ---------------------------------------------------------------------------------


def changed(name, change):
    def changes(answer):
        for choice in answer["choices"]:
            choice[name] = change(choice[name])
        return answer

    return changes


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (changed("token_ids", lambda ids: ids * 20), "tokens where 1 to 15 were asked for"),
        (changed("token_ids", lambda ids: []), "answered with 0 tokens"),
        (changed("token_ids", lambda ids: ids[:-1]), "a thought with a cap of 15 tokens came back with"),
        (changed("token_ids", lambda ids: [10_000]), "of a vocabulary of"),
        (changed("prompt_token_ids", lambda ids: ids[1:]), "has read another prompt than it was sent"),
        (changed("prompt_token_ids", lambda ids: [5, *ids]), "has read another prompt than it was sent"),
    ],
)
def test_a_wrong_answer_ends_the_run(tiny_model, server, fault, words):
    server.faults = [fault]
    model = connected(tiny_model, server.url)
    server.probes_fail = True
    with pytest.raises(UserError) as caught:
        model.read_thoughts([request(2, (15,))])
    assert words in one_line(caught)
    model.close()


def test_missing_log_probabilities_end_the_run(tiny_model, server):
    def forgets(answer):
        for choice in answer["choices"]:
            entries = choice["logprobs"]["top_logprobs"][0]
            entries.pop(next(iter(entries), None), None)
        return answer

    server.faults = [forgets] * 2  # of a thought, which has none, and of the first read-out
    with pytest.raises(UserError, match="no log probability of token"):
        read(tiny_model, server.url)


def test_closing_ends_those_who_wait(tiny_model, server):
    """A thread that waits for an answer must not keep the program alive."""
    model = connected(tiny_model, server.url)
    held = threading.Event()
    server.vllm.complete, errors = lambda *_: held.wait(60), []
    warnings.filterwarnings("error", message=".*never awaited")  # it would be told among a run's last words

    def ask():
        try:
            model.read_thoughts([request(1, CAPS)])
        except BaseException as error:
            errors.append(error)

    waiting = [threading.Thread(target=ask) for _ in range(20)]
    for thread in waiting:
        thread.start()
    waiting[0].join(0.3)
    assert waiting[0].is_alive()
    model.close()
    model.close()
    for thread in waiting:
        thread.join(10)
    held.set()
    assert not any(thread.is_alive() for thread in waiting)
    assert {type(error) for error in errors} == {CancelledError}
    assert len(errors) == 20
    with pytest.raises(CancelledError):
        model.read_thoughts([request(1, CAPS)])
