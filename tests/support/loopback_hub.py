"""A small hub on loopback: serves folders as model and data set repositories, with one fault at a time."""
import hashlib
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

COMMIT = "c" * 40
SILENT_SECONDS = 3600  # only the client can end the wait


class LoopbackHub(BaseHTTPRequestHandler):
    """repositories: folder by name, "owner/name" or "datasets/owner/name".

    fault: None, a status (401, 403, 404, 500, 503), "silent" (no answer), "cut" (the connection ends in the middle of a
    file), "stalls" (nothing comes after the middle of a file) or "gated". only: the fault concerns paths that end so.
    """

    protocol_version = "HTTP/1.1"
    repositories: dict[str, Path]
    fault, only = None, ""

    def do_HEAD(self):
        self.answer(with_body=False)

    def do_GET(self):
        self.answer(with_body=True)

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.answer(with_body=True)

    def answer(self, with_body):
        path = unquote(urlsplit(self.path).path).strip("/")
        if path.endswith(self.only) and self.fault and self.fault not in ("cut", "stalls"):
            if self.fault == "silent":
                threading.Event().wait(SILENT_SECONDS)  # not `time.sleep`: tests make the client wait for nothing
                self.close_connection = True
            elif self.fault == "gated":
                self.send(403, b"", {"X-Error-Code": "GatedRepo"})
            elif self.fault == 404 and self.only:
                self.send(404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})
            else:
                self.send(self.fault, b"", {"X-Error-Code": "RepoNotFound"} if self.fault == 404 else {})
            return None
        is_api = path.startswith("api/")
        for name, folder in self.repositories.items():
            api = f"api/{name}" if name.startswith("datasets/") else f"api/models/{name}"
            if is_api and path.startswith(api):
                return self.send_api(folder, name, path.removeprefix(api).strip("/"))
            if path.startswith(f"{name}/resolve/"):
                file = folder / path.removeprefix(f"{name}/resolve/").partition("/")[2]
                return self.send_file(file, path, with_body)
        return self.send(404, b"", {"X-Error-Code": "RepoNotFound"})

    def send_api(self, folder, name, rest):
        files = {str(path.relative_to(folder)): path for path in sorted(folder.rglob("*")) if path.is_file()}
        if rest.startswith("tree/"):
            entries = [
                {"type": "file", "path": name, "size": path.stat().st_size, "oid": etag(path)}
                for name, path in files.items()
            ]
            return self.send_json(entries)
        siblings = [{"rfilename": name} for name in files]
        return self.send_json({"id": name.removeprefix("datasets/"), "sha": COMMIT, "siblings": siblings})

    def send_json(self, value):
        self.send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def send_file(self, file, path, with_body):
        if not file.is_file():
            return self.send(404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})
        content = file.read_bytes()
        start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").partition("-")[0])
        headers = {"ETag": f'"{etag(file)}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        cut = self.fault if self.fault in ("cut", "stalls") and path.endswith(self.only) else None
        return self.send(206 if start else 200, content[start:], headers, with_body, cut)

    def send(self, status, body, headers, with_body=True, cut=None):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if with_body and self.command != "HEAD":
            self.wfile.write(body[: len(body) // 2] if cut else body)
            self.wfile.flush()
            if cut == "stalls":
                threading.Event().wait(SILENT_SECONDS)
            if cut:
                self.connection.shutdown(2)
                self.close_connection = True

    def log_message(self, *_):
        pass


def etag(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@contextmanager
def loopback_hub(repositories):
    """The handler class, whose fault can be set, and the address."""
    handler = type("Hub", (LoopbackHub,), {"repositories": repositories})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        server.block_on_close = False
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield handler, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
