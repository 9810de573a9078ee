"""A vLLM without vLLM: a tiny model behind the same calls, as a transport or as a server on loopback with faults."""
import json
import threading
from collections import Counter
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import torch

from thinking.vllm_engine import draws
from thinking.vllm_engine.calls import Completion
from thinking.vllm_engine.engine import probing_calls, promises_of

FACTS = {
    "version": draws.version(), "dtype": "float32", "head": "float32", "device": "cpu", "quantisation": None,
    "logprobs": "raw_logprobs",
}  # fmt: skip


class FakeVllm:
    """Computes one completion at a time. has_processor: whether this program's logits processor is loaded."""

    def __init__(self, model, has_processor=True, facts=None):
        self.model, self.has_processor, self.facts = model, has_processor, FACTS | (facts or {})
        self.lock = threading.Lock()

    @torch.inference_mode()
    def complete(self, prompt_ids, options, own_draws=None):
        """(token ids, {token id: log probability} of the first sample)."""
        if own_draws == draws.ASK and self.has_processor:
            return draws.answer_ids(self.facts), {}
        told = draws.Draws.from_json(own_draws) if own_draws and self.has_processor else None
        ids, fed, cache, logprobs = [], list(prompt_ids), None, {}
        random = torch.Generator().manual_seed(options.get("seed", 0))
        while len(ids) < options["max_tokens"]:
            with self.lock:
                output = self.model(torch.tensor([fed]), past_key_values=cache, use_cache=True)
            cache, logits = output.past_key_values, output.logits[0, -1:].float()
            if not ids:
                logprobs = self.logprobs(logits, options)
            if told:
                draws.draw(logits, [(0, told, len(ids))])
            for token_id, bias in options.get("logit_bias", {}).items():
                logits[0, int(token_id)] += bias
            if options["temperature"] == 0:
                token = int(logits.argmax())
            else:
                token = int(torch.multinomial((logits / options["temperature"]).softmax(-1), 1, generator=random))
            ids.append(token)
            fed = [token]
            if token in options.get("stop_token_ids", ()):
                break
        return ids, logprobs

    @staticmethod
    def logprobs(logits, options):
        values = logits.double().log_softmax(-1)[0]
        if "logprob_token_ids" in options:
            wanted = options["logprob_token_ids"]
        else:
            wanted = values.topk(options["logprobs"]).indices.tolist() if options.get("logprobs") else []
        return {token_id: values[token_id].item() for token_id in wanted}


class FakeTransport:
    """Keeps `calls.Transport` without a network."""

    is_here, place = True, {"version": "fake"}

    def __init__(self, vllm):
        self.vllm, self.counts, self.calls = vllm, Counter(), []

    def promises(self, probe):
        told, likeliest = self.complete(probing_calls(probe))
        return promises_of(draws.facts_of(told.token_ids), list(likeliest.logprobs.values()), "it")

    def complete(self, calls):
        self.calls += calls
        return [Completion(*self.vllm.complete(call.prompt_ids, call.options, call.own_draws)) for call in calls]

    def close(self):
        pass


class FakeServer(BaseHTTPRequestHandler):
    """`vllm serve` as far as the program uses it.

    faults: what goes wrong with the next completions, one each, then nothing: a status, "garbage", "cut" (the
    connection ends without an answer), or a function that changes the answer. The questions of a client that has just
    connected are spared unless probes_fail.
    """

    protocol_version = "HTTP/1.1"
    vllm, model_name, max_model_len = None, "", 4096
    faults: list
    requests: list
    paths_missing = ()
    api_key = None

    def do_GET(self):
        if self.path in self.paths_missing:
            return self.send(404, {"detail": "Not Found"})
        if self.path == "/version":
            return self.send(200, {"version": "0.32.0"})
        if self.refused():
            return self.send(401, {"error": "Unauthorized"})
        model = {"id": self.model_name, "root": self.model_name, "max_model_len": self.max_model_len}
        return self.send(200, {"object": "list", "data": [model]})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.requests.append(body)
        if self.refused():
            return self.send(401, {"error": "Unauthorized"})
        fault = self.next_fault(body)
        if isinstance(fault, int):
            return self.send(fault, {"error": {"message": "the queue is full"}})
        if fault == "cut":
            self.close_connection = True
            return None
        if fault == "garbage":
            return self.send_bytes(200, b"<html>Bad gateway</html>")
        answer = self.completed(body)
        return self.send(200, fault(answer) if callable(fault) else answer)

    def next_fault(self, body):
        is_probe = body["max_tokens"] == draws.ANSWER_TOKENS or ("logprobs" in body and "logprob_token_ids" not in body)
        return self.faults.pop(0) if self.faults and (self.probes_fail or not is_probe) else None

    probes_fail = False

    def refused(self):
        return self.api_key is not None and self.headers.get("Authorization") != f"Bearer {self.api_key}"

    def completed(self, body):
        choices = []
        for index, prompt_ids in enumerate(body["prompt"]):
            ids, logprobs = self.vllm.complete(prompt_ids, body, body.get("vllm_xargs", {}).get(draws.ARGUMENT))
            choices.append({
                "index": index,
                "text": "",
                "token_ids": ids,
                "prompt_token_ids": prompt_ids,
                "finish_reason": "stop" if ids[-1] in body.get("stop_token_ids", ()) else "length",
                "logprobs": {"top_logprobs": [{f"token_id:{key}": value for key, value in logprobs.items()}]},
            })
        return {"choices": choices, "usage": {"prompt_tokens_details": {"cached_tokens": 1}}}

    def send(self, status, answer):
        self.send_bytes(status, json.dumps(answer).encode())

    def send_bytes(self, status, content):
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


@contextmanager
def fake_server(vllm, model_name, **changes):
    """The server's class, to change on the way, with its `url`."""
    own = {"vllm": vllm, "model_name": model_name, "faults": [], "requests": []}
    handler = type("Server", (FakeServer,), own | changes)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.handle_error = lambda request, address: None  # tests break connections on purpose
    handler.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield handler
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
