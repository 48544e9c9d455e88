"""The promises of the decision API, asked of each proxy in turn. Started by `run`."""

import contextlib
import http.client
import http.server
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from urllib.parse import quote, urlsplit

ROOT = Path(__file__).resolve().parents[2]
PORTCULLIS = os.environ["PORTCULLIS_BIN"]
PATIENCE = 30
IDENTITY = "x-kratos-authenticated-identity-id"

CONFIGURATION = """
listen: {{ address: 127.0.0.1:{clients}, trusted_proxies: 127.0.0.1 }}
ops: 127.0.0.1:{ops}
decisions: {{ address: 127.0.0.1:{decisions}, grpc: 127.0.0.1:{grpc} }}
kratos: {kratos}
rules:
  - {{ id: open, match: {{ paths: /open/** }}, access: public }}
  - {{ id: private, match: {{ paths: /private/** }}, access: session }}
  - {{ id: posts, match: {{ paths: /posts, methods: POST }}, access: session }}
  - {{ id: closed, match: {{ paths: /closed/** }}, access: deny }}
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Service:
    """Answers everything, and remembers what reached it."""

    def __init__(self):
        seen = self.seen = []

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                length = int(self.headers.get("content-length") or 0)
                headers = [(name.lower(), value) for name, value in self.headers.items()]
                seen.append({"path": self.path, "headers": headers, "body": self.rfile.read(length)})
                self.send_response(200)
                self.send_header("content-length", "7")
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(b"service")

            do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = answer

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        # A proxy that ends resets what it had kept open.
        self.server.handle_error = lambda *_: None
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def values(self, name):
        """What reached it last under a name, in whatever spelling a service might fold to it."""
        fold = lambda text: re.sub(r"[^a-z0-9]", "-", text.lower())
        return [value for known, value in self.seen[-1]["headers"] if fold(known) == fold(name)]


class Reply:
    def __init__(self, response, body):
        self.status, self.headers, self.body = response.status, response.headers, body

    def json(self):
        return json.loads(self.body)

    def cookies(self):
        return [value.split(";")[0] for value in self.headers.get_all("set-cookie") or []]


def ask(port, method, target, headers=(), body=None):
    """One request, its target on the wire as it is given."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    connection.putrequest(method, target, skip_accept_encoding=True)
    headers = list(headers) + ([("content-length", str(len(body)))] if body is not None else [])
    for name, value in headers:
        connection.putheader(name, value)
    connection.endheaders(body)
    response = connection.getresponse()
    reply = Reply(response, response.read())
    connection.close()
    return reply


def until(what, condition):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"it never came about that {what}")
        time.sleep(0.05)


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextlib.contextmanager
def running(arguments, log, ports, **more):
    """A process that listens on `ports` while the block runs."""
    with open(log, "wb") as output:
        process = subprocess.Popen([str(a) for a in arguments], stdout=output, stderr=subprocess.STDOUT, **more)
    try:
        until(f"{arguments[0]} listens: {log}", lambda: process.poll() is not None or all(map(listens, ports)))
        if process.poll() is not None:
            raise RuntimeError(f"{arguments[0]} ended:\n{Path(log).read_text()[-2000:]}")
        yield process
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()


def example(name, ports):
    """An example of deploy/ with the ports of this run."""
    text = (ROOT / "deploy" / name).read_text()
    for standing, key in [("4455", "clients"), ("4458", "decisions"), ("4459", "grpc"), ("3000", "service")]:
        text = re.sub(rf"(127\.0\.0\.1:|port_value: ){standing}\b", rf"\g<1>{ports[key]}", text)
    text = re.sub(r"(?<=listen )8080\b", f"127.0.0.1:{ports['web']}", text)
    text = re.sub(r"(?<=bind :)8080\b", str(ports["web"]), text)
    return re.sub(r"(?<=//:)8080\b|(?<=port_value: )8080\b", str(ports["web"]), text)


def nginx(folder, ports):
    (folder / "example.conf").write_text(example("nginx.conf", ports))
    temporary = "\n".join(f"{kind}_temp_path {folder}/{kind};" for kind in ["proxy", "fastcgi", "uwsgi", "scgi"])
    (folder / "nginx.conf").write_text(
        f"daemon off; error_log stderr; pid {folder}/pid;\nevents {{}}\n"
        f"http {{ access_log off; client_body_temp_path {folder}/body;\n{temporary}\ninclude {folder}/example.conf; }}\n"
    )
    return ["nginx", "-e", "stderr", "-p", folder, "-c", folder / "nginx.conf"], {}


def caddy(folder, ports):
    globals_ = "{\n\tadmin off\n\tauto_https off\n}\n"
    (folder / "Caddyfile").write_text(globals_ + example("Caddyfile", ports))
    homes = {name: str(folder) for name in ["HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"]}
    arguments = ["caddy", "run", "--adapter", "caddyfile", "--config", folder / "Caddyfile"]
    return arguments, {"env": {**os.environ, **homes}}


def envoy(folder, ports):
    (folder / "envoy.yaml").write_text(example("envoy.yaml", ports))
    return ["envoy", "-c", folder / "envoy.yaml", "--concurrency", "1", "--disable-hot-restart", "-l", "warning"], {}


def traefik(folder, ports):
    (folder / "traefik.yaml").write_text(example("traefik.yaml", ports))
    return [
        "traefik",
        f"--entryPoints.web.address=127.0.0.1:{ports['web']}",
        f"--providers.file.filename={folder}/traefik.yaml",
        "--global.checkNewVersion=false",
        "--global.sendAnonymousUsage=false",
    ], {}


def haproxy(folder, ports):
    for name in ["haproxy.cfg", "haproxy.lua"]:
        (folder / name).write_text(example(name, ports))
    return ["haproxy", "-db", "-f", folder / "haproxy.cfg"], {"cwd": folder}


PEERS = {"nginx": nginx, "caddy": caddy, "envoy": envoy, "traefik": traefik, "haproxy": haproxy}


def sign_up(port, email):
    """Signs up through a proxy, as a browser's script does. Says the cookies and the identity's id."""
    flow = ask(port, "GET", "/self-service/registration/browser", [("accept", "application/json")])
    ui = flow.json()["ui"]
    token = next(node["attributes"]["value"] for node in ui["nodes"] if node["attributes"].get("name") == "csrf_token")
    form = {"method": "password", "password": "correct-horse-battery", "csrf_token": token, "traits": {"email": email}}
    action = urlsplit(ui["action"])
    headers = [("accept", "application/json"), ("content-type", "application/json"), ("cookie", "; ".join(flow.cookies()))]
    done = ask(port, "POST", f"{action.path}?{action.query}", headers, json.dumps(form).encode())
    assert done.status == 200, done.body
    return "; ".join(flow.cookies() + done.cookies()), done.json()["identity"]["id"]


class Promises:
    """Each method without a leading underscore is one promise."""

    def __init__(self, name, ports, service):
        self.name, self.port, self.service = name, ports["web"], service
        self.cookie, self.identity = sign_up(self.port, f"{name}@example.com")

    def _get(self, target, *headers, cookie=None):
        return ask(self.port, "GET", target, list(headers) + ([("cookie", cookie)] if cookie else []))

    def _stays_out(self, reply, status):
        assert reply.status == status, f"{reply.status}: {reply.body[:300]}"
        assert not self.service.seen, f"reached the service: {self.service.seen}"

    def anonymous_callers_are_refused(self):
        reply = self._get("/private/a")
        self._stays_out(reply, 401)
        assert reply.json()["error"]["id"] == "session_inactive", reply.body

    def browsers_are_sent_to_sign_in_and_back(self):
        reply = self._get("/private/a?b=c", ("accept", "text/html"), ("sec-fetch-mode", "navigate"))
        self._stays_out(reply, 303)
        back = quote(f"http://127.0.0.1:{self.port}/private/a?b=c", safe="")
        assert reply.headers["location"].endswith(f"/self-service/login/browser?return_to={back}"), reply.headers

    def a_session_passes_and_is_named(self):
        reply = self._get("/private/a?b=c", cookie=self.cookie)
        assert (reply.status, reply.body) == (200, b"service"), reply.body
        assert self.service.seen[-1]["path"] == "/private/a?b=c", self.service.seen
        assert self.service.values(IDENTITY) == [self.identity], self.service.seen

    def nobody_names_themselves(self):
        spoofed = [("X-Kratos-Authenticated-Identity-Id", "root"), ("X_Kratos_Authenticated_Identity_Id", "root")]
        if self.name == "traefik":
            # It knows only the names that it is told; services behind it must not read `_` as `-`.
            spoofed.pop()
        reply = self._get("/private/a", *spoofed, cookie=self.cookie)
        assert reply.status == 200 and self.service.values(IDENTITY) == [self.identity], self.service.seen
        reply = self._get("/open/a", *spoofed)
        values = [value for value in self.service.values(IDENTITY) if value]
        assert reply.status == 200 and values == [], self.service.seen

    def what_is_denied_stays_denied(self):
        reply = self._get("/closed/a", cookie=self.cookie)
        self._stays_out(reply, 403)
        assert reply.json()["error"]["id"] == "forbidden", reply.body

    def what_no_rule_knows_is_not_found(self):
        self._stays_out(self._get("/nowhere", cookie=self.cookie), 404)

    def the_clients_method_is_judged(self):
        reply = self._get("/posts", cookie=self.cookie)
        self._stays_out(reply, 405)
        assert reply.headers["allow"] == "POST", reply.headers
        reply = ask(self.port, "POST", "/posts", [("cookie", self.cookie)], b"body")
        assert reply.status == 200 and self.service.seen[-1]["body"] == b"body", self.service.seen

    def clients_cannot_tell_of_another_request(self):
        for forged in [
            [("x-forwarded-uri", "/open/a")],
            [("x-original-url", "/open/a"), ("x-original-uri", "/open/a")],
            [("x-original-url", f"http://127.0.0.1:{self.port}/open/a"), ("x-original-method", "GET")],
            [("x-forwarded-method", "GET"), ("x-forwarded-uri", "/open/a"), ("x-forwarded-host", "other")],
            [("x_forwarded_uri", "/open/a")],
        ]:
            reply = self._get("/private/a", *forged)
            assert reply.status in (400, 401), f"{forged}: {reply.status}"
            assert not self.service.seen, f"{forged} reached the service: {self.service.seen}"

    def odd_paths_do_not_slip_through(self):
        for target in ["/open/../private/a", "/open/%2e%2e/private/a", "/open/..%2fprivate/a", "//private/a", "/open/a%00"]:
            reply = self._get(target)
            assert reply.status >= 400, f"{target}: {reply.status}"
            assert not self.service.seen, f"{target} reached the service: {self.service.seen}"

    def credentials_stop_where_the_protocol_allows(self):
        reply = self._get("/private/a", cookie=f"a=b; {self.cookie}")
        assert reply.status == 200 and "a=b" in self.service.values("cookie")[0], self.service.seen
        if self.name == "envoy":
            assert "ory_kratos_session" not in self.service.values("cookie")[0], self.service.seen

    def a_session_that_signed_out_is_refused_at_once(self):
        assert self._get("/private/a", cookie=self.cookie).status == 200
        out = self._get("/self-service/logout/browser", ("accept", "application/json"), cookie=self.cookie).json()
        out = urlsplit(out["logout_url"])
        reply = self._get(f"{out.path}?{out.query}", ("accept", "application/json"), cookie=self.cookie)
        assert reply.status in (204, 303), reply.body
        self.service.seen.clear()
        self._stays_out(self._get("/private/a", cookie=self.cookie), 401)


def promises():
    return [name for name in vars(Promises) if not name.startswith("_")]


def check(tally, peer, name, promise):
    try:
        promise()
    except Exception as error:  # noqa: BLE001: whatever goes wrong, the others are still to be asked.
        tally["failed"] += 1
        print(f"FAILED   {peer}: {name.replace('_', ' ')}\n         {type(error).__name__}: {str(error)[:1500]}")
    else:
        tally["passed"] += 1
        print(f"passed   {peer}: {name.replace('_', ' ')}")


def away(port, service):
    """Nobody passes while Portcullis cannot be asked."""
    service.seen.clear()
    for target in ["/open/a", "/private/a"]:
        reply = ask(port, "GET", target)
        assert reply.status >= 500, f"{target}: {reply.status}"
    assert not service.seen, service.seen


def main():
    wanted = os.environ.get("PEERS", " ".join(PEERS)).split()
    tally = {"passed": 0, "failed": 0, "not run": 0}
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.chmod(0o755)
        service = Service()
        ports = {key: free_port() for key in ["clients", "ops", "decisions", "grpc", "kratos", "dev", "dev_ops", "demo"]}
        ports["service"] = service.port
        listening = {"listen": "dev", "kratos": "kratos", "ops": "dev_ops", "demo": "demo"}
        flags = [part for flag, key in listening.items() for part in (f"--{flag}", f"127.0.0.1:{ports[key]}")]
        stack.enter_context(running([PORTCULLIS, "dev", *flags], folder / "kratos.log", [ports["kratos"]]))
        (folder / "portcullis.yaml").write_text(
            CONFIGURATION.format(**{**ports, "kratos": f"http://127.0.0.1:{ports['kratos']}"})
        )
        serve = [PORTCULLIS, "--log", "warn", "serve", "--config", folder / "portcullis.yaml"]
        for name in wanted:
            if not shutil.which(name):
                tally["not run"] += len(promises()) + 1
                print(f"NOT RUN  {name}: it is not installed")
                continue
            home = folder / name
            home.mkdir()
            ports["web"] = free_port()
            arguments, more = PEERS[name](home, ports)
            try:
                with running(serve, folder / f"portcullis-{name}.log", [ports["clients"], ports["grpc"]]) as portcullis:
                    with running(arguments, home / "log", [ports["web"]], **more):
                        # Traefik listens before it has read its routes.
                        until(f"{name} asks", lambda: ask(ports["web"], "GET", "/private/a").status == 401)
                        asked = Promises(name, ports, service)
                        for promise in promises():
                            service.seen.clear()
                            check(tally, name, promise, getattr(asked, promise))
                        portcullis.terminate()
                        portcullis.wait(PATIENCE)
                        check(tally, name, "nobody passes while the gate is away", lambda: away(ports["web"], service))
                if name == "haproxy":
                    # It goes on after a fault in Lua.
                    script = home / "haproxy.lua"
                    script.write_text(script.read_text().replace("core.httpclient()", "core.nothing()"))
                    with running(arguments, home / "log", [ports["web"]], **more):
                        check(tally, name, "nobody passes while the script fails", lambda: away(ports["web"], service))
            except Exception as error:  # noqa: BLE001
                tally["failed"] += 1
                print(f"FAILED   {name}: {error}\n{(home / 'log').read_text()[-2000:] if (home / 'log').exists() else ''}")
    if tally["not run"]:
        print(f"{tally['not run']} not run")
        if os.environ.get("REQUIRE_ALL") == "1":
            tally["failed"] += tally["not run"]
    print(f"{tally['passed']} passed, {tally['failed']} failed")
    return 1 if tally["failed"] else 0


sys.exit(main())
