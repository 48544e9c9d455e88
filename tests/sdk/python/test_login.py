"""Login, logout and the second factor."""

import base64
import hashlib
import hmac
import json
import struct
import time
import unittest
import urllib.parse

from ory_client import models

from kratos import ELSEWHERE, KRATOS_URL, PASSWORD, UNKNOWN_ID
from kratos import Account, Visitor, actions, csrf_token, has_message, mailed_code


def log_out(token):
    return {"perform_native_logout_body": models.PerformNativeLogoutBody(session_token=token)}


def with_code(flow, identifier, code=None):
    body = models.UpdateLoginFlowWithCodeMethod(method="code", identifier=identifier, code=code, csrf_token="")
    return {"flow": flow, "update_login_flow_body": models.UpdateLoginFlowBody(body)}


def totp(secret):
    """The code of this half minute (RFC 6238)."""
    mac = hmac.digest(base64.b32decode(secret), struct.pack(">Q", int(time.time()) // 30), hashlib.sha1)
    start = mac[-1] & 15
    return f"{(struct.unpack_from('>I', mac, start)[0] & 0x7FFFFFFF) % 1_000_000:06}"


class Login(unittest.TestCase):
    def test_native_login_yields_a_token_that_the_gateway_knows_until_logout(self):
        somebody, app = Account(), Visitor()
        flow = app.accept("createNativeLoginFlow")
        self.assertEqual(flow.type, "api")
        self.assertEqual(app.accept("getLoginFlow", id=flow.id).ui.nodes, flow.ui.nodes)
        wrong = app.log_in(flow.id, somebody.email, "wrong")
        has_message(app.refused_with("updateLoginFlow", 400, models.LoginFlow, **wrong).ui, 4000006)

        login = app.accept("updateLoginFlow", **app.log_in(flow.id, somebody.email, PASSWORD))
        token = login.session_token
        session = app.accept("toSession", x_session_token=token)
        self.assertEqual((session.id, session.active), (login.session.id, True))
        self.assertEqual(session.authenticator_assurance_level, "aal1")
        self.assertEqual(session.authentication_methods[0].method, "password")
        self.assertGreater(session.expires_at.timestamp(), time.time())
        app.admitted(token, somebody.identity)

        app.accept("performNativeLogout", status=204, **log_out(token))
        app.turned_away(token)
        app.refuse("toSession", 401, x_session_token=token)
        app.accept("performNativeLogout", status=204, **log_out(token))
        app.refuse("performNativeLogout", 403, **log_out("ory_st_unknown"))

    def test_login_flows_are_refused_to_who_has_no_use_for_them(self):
        somebody, app, visitor = Account(), Visitor(), Visitor.browser()
        app.refuse("createNativeLoginFlow", 400, "session_already_available", x_session_token=somebody.token)
        app.refuse("getLoginFlow", 404, id=UNKNOWN_ID)
        app.refuse("updateLoginFlow", 404, **app.log_in(UNKNOWN_ID, somebody.email, PASSWORD))

        visitor.refuse("createBrowserLoginFlow", 401, "session_aal1_required", aal="aal2")
        forbidden = "self_service_flow_return_to_forbidden"
        visitor.refuse("createBrowserLoginFlow", 400, forbidden, return_to=ELSEWHERE)
        flow = visitor.accept("createBrowserLoginFlow")
        Visitor.browser().refuse("getLoginFlow", 403, "security_csrf_violation", id=flow.id)
        forged = visitor.log_in(flow.id, somebody.email, PASSWORD, "made-up")
        visitor.refuse("updateLoginFlow", 403, "security_csrf_violation", **forged)

    def test_browser_login_gives_a_cookie_and_logout_takes_it_away(self):
        somebody, visitor = Account(), Visitor.browser()
        visitor.refuse("createBrowserLogoutFlow", 401, "session_inactive")
        visitor.turned_away()

        flow = visitor.accept("createBrowserLoginFlow")
        self.assertEqual(flow.type, "browser")
        visitor.accept("getLoginFlow", id=flow.id)
        submit = visitor.log_in(flow.id, somebody.email, PASSWORD, csrf_token(flow.ui))
        login = visitor.accept("updateLoginFlow", **submit)
        self.assertIsNone(login.session_token)
        self.assertEqual(visitor.accept("toSession").id, login.session.id)
        visitor.admitted(None, somebody.identity)
        visitor.refuse("createBrowserLoginFlow", 400, "session_already_available")

        logout = visitor.accept("createBrowserLogoutFlow")
        self.assertIn(logout.logout_token, logout.logout_url)
        visitor.refuse("updateLogoutFlow", 403, token="made-up")
        thief = visitor.thief()
        thief.admitted(None, somebody.identity)
        visitor.accept("updateLogoutFlow", status=204, token=logout.logout_token)
        thief.turned_away()
        thief.refuse("toSession", 401)
        visitor.refuse("updateLogoutFlow", 401, "session_inactive", token=logout.logout_token)

    def test_a_code_by_mail_signs_in(self):
        somebody, app = Account(), Visitor()
        flow = app.accept("createNativeLoginFlow").id
        sent = app.refused_with("updateLoginFlow", 400, models.LoginFlow, **with_code(flow, somebody.email))
        self.assertEqual(sent.state, "sent_email")
        wrong = with_code(flow, somebody.email, "000000")
        has_message(app.refused_with("updateLoginFlow", 400, models.LoginFlow, **wrong).ui, 4010008)
        login = app.accept("updateLoginFlow", **with_code(flow, somebody.email, mailed_code(somebody.email)))
        self.assertEqual(login.session.authentication_methods[0].method, "code")

    def test_whoami_tokenizes_the_session(self):
        somebody, app = Account(), Visitor()
        session = app.accept("toSession", x_session_token=somebody.token, tokenize_as="dev")
        _, payload, _ = session.tokenized.split(".")
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        self.assertEqual((claims["sub"], claims["sid"]), (str(somebody.identity), str(somebody.session)))
        app.refuse("toSession", 400, x_session_token=somebody.token, tokenize_as="unknown")
        app.refuse("toSession", 401, x_session_token="ory_st_unknown")

    def test_a_second_factor_is_set_up_and_asked_for(self):
        somebody, app = Account(), Visitor()
        flow = app.accept("createNativeSettingsFlow", x_session_token=somebody.token)
        texts = [node.attributes.actual_instance for node in flow.ui.nodes if node.type == "text"]
        secret = next(text for text in texts if text.id == "totp_secret_key").text.context["secret"]

        def link(code):
            body = models.UpdateSettingsFlowWithTotpMethod(method="totp", totp_code=code)
            body = models.UpdateSettingsFlowBody(body)
            return {"flow": flow.id, "x_session_token": somebody.token, "update_settings_flow_body": body}

        has_message(app.refused_with("updateSettingsFlow", 400, models.SettingsFlow, **link("000")).ui, 4000008)
        self.assertEqual(app.accept("updateSettingsFlow", **link(totp(secret))).state, "success")
        # Who sets a factor up has shown it.
        own = app.accept("toSession", x_session_token=somebody.token)
        self.assertEqual(own.authenticator_assurance_level, "aal2")

        login = somebody.sign_in_natively()
        token = login.session_token
        self.assertIsNone(login.session.identity, "half a login must not tell who it is")
        for operation in ("toSession", "listMySessions", "createNativeSettingsFlow"):
            app.refuse(operation, 403, "session_aal2_required", x_session_token=token)
        step = app.accept("createNativeLoginFlow", aal="aal2", x_session_token=token)

        def prove(code):
            body = models.UpdateLoginFlowBody(models.UpdateLoginFlowWithTotpMethod(method="totp", totp_code=code))
            return {"flow": step.id, "x_session_token": token, "update_login_flow_body": body}

        has_message(app.refused_with("updateLoginFlow", 400, models.LoginFlow, **prove("000")).ui, 4000008)
        self.assertEqual(app.accept("updateLoginFlow", **prove(totp(secret))).session.id, login.session.id)
        app.admitted(token, somebody.identity)

        visitor = Visitor.browser()
        flow = visitor.accept("createBrowserLoginFlow")
        submit = visitor.log_in(flow.id, somebody.email, PASSWORD, csrf_token(flow.ui))
        self.assertIn("aal=aal2", visitor.moved("updateLoginFlow", **submit))

    def test_a_session_token_is_exchanged_for_two_codes(self):
        somebody, app = Account(), Visitor()
        flow = app.accept(
            "createNativeLoginFlow", return_session_token_exchange_code=True, return_to=f"{KRATOS_URL}/done"
        )
        codes = {"init_code": flow.session_token_exchange_code, "return_to_code": "made-up"}
        app.refuse("exchangeSessionToken", 404, **codes)
        login = app.accept("updateLoginFlow", **app.log_in(flow.id, somebody.email, PASSWORD))
        action = actions(login).get("redirect_browser_to")
        if action is None:
            self.skipTest("NOT TESTED: this Kratos gives the second code in redirects of social sign-in only")
        query = urllib.parse.urlsplit(action.redirect_browser_to).query
        codes["return_to_code"] = urllib.parse.parse_qs(query)["code"][0]
        exchanged = app.accept("exchangeSessionToken", **codes)
        self.assertEqual(exchanged.session_token, login.session_token)
        self.assertEqual(exchanged.session.identity.id, somebody.identity)
        app.refuse("exchangeSessionToken", 404, **codes)
