"""A server on the loopback that speaks the part of the Hugging Face hub's protocol that huggingface_hub uses.

A file is asked for at /OWNER/NAME/resolve/REVISION/FILE: HEAD gives the commit, the ETag and the size, and of a large
file a redirect to another host, which takes a Range. Errors have their name in X-Error-Code.
"""

import contextlib
import hashlib
import http.server
import re
import threading

PATH = re.compile(r"/(?P<repository>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<file>.+)")


class Hub:
    """What the hub holds, and what it was asked.

    Attributes:
      repositories: {"owner/name": {commit: {file: bytes}}}.
      commits: {"owner/name": {revision: hash}}.
      gated: names of repositories that need a login.
      drops: bytes after which the next downloads break off, one by one.
      then: f() that is called when a config.json was given.
      down: whether every answer is that the hub is out of order.
      asked: [(method, path, Range or None)].
      address: http://127.0.0.1:PORT.
    """

    def __init__(self):
        self.repositories, self.commits, self.gated, self.asked = {}, {}, set(), []
        self.drops, self.then, self.down, self.address = [], None, False, ""

    def put(self, repository, **files):
        """Adds a commit of these files to main; `__` in a name stands for the dot. Returns its hash."""
        files = {name.replace("__", "."): data for name, data in files.items()}
        commit = hashlib.sha1(repr(sorted(files.items())).encode()).hexdigest()
        self.repositories.setdefault(repository, {})[commit] = files
        self.commits.setdefault(repository, {}).update({"main": commit, commit: commit})
        return commit


@contextlib.contextmanager
def serve():
    """Yields a Hub that answers on the loopback."""
    hub = Hub()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *arguments):
            pass

        def do_HEAD(self):
            self.answer(body=False)

        def do_GET(self):
            self.answer(body=True)

        def answer(self, *, body):
            hub.asked.append((self.command, self.path, self.headers["Range"]))
            if self.path.startswith("/blobs/"):
                return self.send(hub.blobs[self.path.rpartition("/")[2]], {}, body)
            match = PATH.fullmatch(self.path)
            error, status = self.refusal(match)
            if error:
                return self.send(b"", {"X-Error-Code": error}, body, status)
            commit = hub.commits[match["repository"]][match["revision"]]
            data = hub.repositories[match["repository"]][commit][match["file"]]
            name = hashlib.sha256(data).hexdigest()
            known = {"X-Repo-Commit": commit, "ETag": f'"{name}"'}
            if match["file"] == "config.json":
                self.send(data, known, body)
                return hub.then() if body and hub.then else None
            hub.blobs[name] = data
            where = {"Location": f"http://localhost:{self.server.server_port}/blobs/{name}"}  # a CDN has another name
            known |= {"X-Linked-Etag": known["ETag"], "X-Linked-Size": str(len(data))}
            return self.send(b"", known | where, body, 302)

        def refusal(self, match):
            repository = match and match["repository"]
            if hub.down:
                return "OutOfOrder", 503
            if repository in hub.gated:
                return "GatedRepo", 403
            if repository not in hub.repositories:
                return "RepoNotFound", 401
            if match["revision"] not in hub.commits[repository]:
                return "RevisionNotFound", 404
            files = hub.repositories[repository][hub.commits[repository][match["revision"]]]
            return ("", 200) if match["file"] in files else ("EntryNotFound", 404)

        def send(self, data, headers, body, status=200):
            if self.headers["Range"] and status == 200:
                start, total = int(self.headers["Range"].removeprefix("bytes=").partition("-")[0]), len(data)
                data, status = data[start:], 206
                headers = {**headers, "Content-Range": f"bytes {start}-{total - 1}/{total}"}
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(data))}.items():
                self.send_header(name, value)
            self.end_headers()
            if body and hub.drops and self.path.startswith("/blobs/"):
                data, self.close_connection = data[: hub.drops.pop(0)], True
            if body:
                self.wfile.write(data)

    hub.blobs = {}
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
