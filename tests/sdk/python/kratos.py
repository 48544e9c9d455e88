"""What the tests of this suite share: where the server is, who visits it, and what an operation has to answer."""

import json
import os
import re
import secrets
import unittest
import urllib.request
import uuid

import ory_client
from ory_client import models

import report

KRATOS_URL = (os.environ.get("KRATOS_URL") or "http://127.0.0.1:4455").rstrip("/")
PROTECTED_URL = os.environ.get("PROTECTED_URL") or f"{KRATOS_URL}/private"
MAILBOX_URL = os.environ.get("MAILBOX_URL")

PASSWORD = "correct-horse-battery"
# Well formed, and nobody's.
UNKNOWN_ID = "00000000-0000-4000-8000-000000000000"
ELSEWHERE = "https://elsewhere.example/"


class Visitor:
    """One client. A browser keeps cookies, a native app does not."""

    def __init__(self, cookies=None):
        client = ory_client.ApiClient(ory_client.Configuration(host=KRATOS_URL))
        self.api = ory_client.FrontendApi(client)
        self.cookies = cookies
        self.send = client.rest_client.request
        if cookies is not None:
            client.rest_client.request = self.send_with_cookies

    @classmethod
    def browser(cls):
        return cls({})

    def thief(self):
        """Somebody who holds a copy of the cookies of now."""
        return Visitor(dict(self.cookies))

    def send_with_cookies(self, method, url, headers=None, **rest):
        headers = dict(headers or {})
        if self.cookies:
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        response = self.send(method, url, headers=headers, **rest)
        for line in response.response.headers.getlist("set-cookie"):
            name, value = re.match(r"([^=]+)=([^;]*)", line).groups()
            if re.search(r";\s*max-age=0", line, re.IGNORECASE):
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = value
        return response

    def accept(self, operation, *, status=200, **parameters):
        """Demands success, decoded into the type that the SDK promises."""
        try:
            response = call(self.api, operation, parameters)
        except Exception as error:
            report.record(operation, "failed")
            raise AssertionError(f"{operation} should have succeeded: {error}") from error
        assert response.status_code == status, f"{operation}: expected {status}, got {response.status_code}"
        report.record(operation, "succeeded")
        return response.data

    def refused_with(self, operation, status, shape, **parameters):
        """Demands a refusal of that status, and returns the flow of that shape that tells why."""
        refusal = self.refusal(operation, status, parameters)
        assert isinstance(refusal.data, shape), f"{operation}: the refusal was not decoded: {refusal}"
        return refusal.data

    def refuse(self, operation, status, error_id=None, **parameters):
        """Demands Kratos' error of that status and id; without an id the error must have none.

        The SDK's own class of errors knows two ids of Ory Network and no other, so it is of no use with Kratos.
        """
        error = json.loads(self.refusal(operation, status, parameters).body)["error"]
        assert (error["code"], error.get("id")) == (status, error_id), error
        assert error["message"]

    def refusal(self, operation, status, parameters):
        try:
            call(self.api, operation, parameters)
        except ory_client.ApiException as refusal:
            if refusal.status == status:
                report.record(operation, "refused")
                return refusal
            report.record(operation, "failed")
            raise AssertionError(f"{operation}: expected {status}, got {refusal}") from refusal
        report.record(operation, "failed")
        raise AssertionError(f"{operation}: expected {status}, but it succeeded")

    def moved(self, operation, **parameters):
        """Demands a 422, and returns where to go. The published schema nests it once too often for the SDK."""
        response = call(self.api, operation, parameters, "_without_preload_content")
        body = json.loads(response.data)
        assert response.status == 422, body
        report.record(operation, "refused")
        return body["redirect_browser_to"]

    def knock(self, token=None):
        """Calls the protected path, and returns the status and the headers that the service saw."""
        headers = {"Accept": "application/json"}
        if token:
            headers["X-Session-Token"] = token
        send = self.send if self.cookies is None else self.send_with_cookies
        response = send("GET", PROTECTED_URL, headers=headers)
        body = json.loads(response.read())
        return response.status, body.get("headers", {})

    def admitted(self, token, identity):
        """Demands that the service sees that identity, twice: the second time from the gateway's cache."""
        for _ in range(2):
            status, headers = self.knock(token)
            assert status == 200, status
            assert headers["x-kratos-authenticated-identity-id"] == str(identity), headers

    def turned_away(self, token=None):
        """Demands that the credential is worth nothing, cached or not."""
        status, _ = self.knock(token)
        assert status == 401, status

    def log_in(self, flow, identifier, password, csrf_token=None):
        """What a submit of a login flow with a password needs."""
        body = models.UpdateLoginFlowWithPasswordMethod(
            method="password", identifier=identifier, password=password, csrf_token=csrf_token
        )
        return {"flow": flow, "update_login_flow_body": models.UpdateLoginFlowBody(body)}


def call(api, operation, parameters, suffix="_with_http_info"):
    """Calls an operation by the name that the specification gives it."""
    method = getattr(api, re.sub(r"(?=[A-Z])", "_", operation).lower() + suffix)
    # The SDK tells ids as UUIDs and wants them as texts.
    return method(**{name: str(value) if isinstance(value, uuid.UUID) else value for name, value in parameters.items()})


def register(flow, email, password, csrf_token=None):
    body = models.UpdateRegistrationFlowWithPasswordMethod(
        method="password",
        traits={"email": email, "name": {"first": "Ann"}},
        password=password,
        csrf_token=csrf_token,
    )
    return {"flow": flow, "update_registration_flow_body": models.UpdateRegistrationFlowBody(body)}


class Account:
    """Somebody new, signed up by a native app."""

    def __init__(self):
        app = Visitor()
        self.email = new_email()
        flow = app.accept("createNativeRegistrationFlow")
        result = app.accept("updateRegistrationFlow", **register(flow.id, self.email, PASSWORD))
        self.identity = result.identity.id
        self.token = result.session_token
        self.session = result.session.id

    def sign_in_natively(self):
        """One more session."""
        app = Visitor()
        flow = app.accept("createNativeLoginFlow")
        return app.accept("updateLoginFlow", **app.log_in(flow.id, self.email, PASSWORD))

    def browser(self):
        """A browser with a session cookie."""
        visitor = Visitor.browser()
        flow = visitor.accept("createBrowserLoginFlow")
        visitor.accept("updateLoginFlow", **visitor.log_in(flow.id, self.email, PASSWORD, csrf_token(flow.ui)))
        return visitor


def new_email():
    return f"python-{secrets.token_hex(8)}@example.com"


def csrf_token(ui):
    for node in ui.nodes:
        attributes = node.attributes.actual_instance
        if isinstance(attributes, models.UiNodeInputAttributes) and attributes.name == "csrf_token":
            assert attributes.value
            return attributes.value
    raise AssertionError("the flow has no csrf_token")


def has_message(ui, message_id):
    """Demands a message of that id, above the form or at a node."""
    found = [message.id for message in ui.messages or []]
    found += [message.id for node in ui.nodes for message in node.messages]
    assert message_id in found, f"no message {message_id} among {found}"


def actions(result):
    """What to do after a flow, by the name of the action."""
    found = [action.actual_instance for action in result.continue_with or []]
    return {action.action: action for action in found}


def mailed_code(address):
    """The newest code that went to that address. Without a mailbox the test cannot go on."""
    if not MAILBOX_URL:
        raise unittest.SkipTest("NOT TESTED: codes cannot be read without MAILBOX_URL")
    with urllib.request.urlopen(MAILBOX_URL, timeout=20) as response:
        mails = json.load(response)
    codes = [mail["code"] for mail in mails if mail["to"] == address and "code" in mail]
    assert codes, f"no mail with a code went to {address}"
    return codes[-1]
