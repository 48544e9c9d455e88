"""Recovery and verification, which need a mailbox to come to their end."""

import unittest

from ory_client import models

from kratos import ELSEWHERE, PASSWORD, UNKNOWN_ID
from kratos import Account, Visitor, actions, csrf_token, has_message, mailed_code


def recover(flow, email=None, code=None, csrf=None):
    body = models.UpdateRecoveryFlowWithCodeMethod(method="code", email=email, code=code, csrf_token=csrf)
    return {"flow": flow, "update_recovery_flow_body": models.UpdateRecoveryFlowBody(body)}


def verify(flow, email=None, code=None, csrf=None):
    body = models.UpdateVerificationFlowWithCodeMethod(method="code", email=email, code=code, csrf_token=csrf)
    return {"flow": flow, "update_verification_flow_body": models.UpdateVerificationFlowBody(body)}


class Recovery(unittest.TestCase):
    def test_native_recovery_lets_a_new_password_be_set(self):
        somebody, app = Account(), Visitor()
        somebody.browser().refuse("createNativeRecoveryFlow", 400, "session_already_available")
        flow = app.accept("createNativeRecoveryFlow").id
        app.accept("getRecoveryFlow", id=flow)
        app.refuse("getRecoveryFlow", 404, id=UNKNOWN_ID)
        app.refuse("updateRecoveryFlow", 404, **recover(UNKNOWN_ID, somebody.email))
        has_message(app.refused_with("updateRecoveryFlow", 400, models.RecoveryFlow, **recover(flow)).ui, 4000002)

        sent = app.accept("updateRecoveryFlow", **recover(flow, somebody.email))
        self.assertEqual(sent.state, "sent_email")
        has_message(sent.ui, 1060003)
        # A wrong code is no error: the flow comes back and says so.
        has_message(app.accept("updateRecoveryFlow", **recover(flow, code="000000")).ui, 4060006)

        then = actions(app.accept("updateRecoveryFlow", **recover(flow, code=mailed_code(somebody.email))))
        token = then["set_ory_session_token"].ory_session_token
        settings = then["show_settings_ui"].flow.id
        app.admitted(token, somebody.identity)
        app.accept("getSettingsFlow", id=settings, x_session_token=token)
        fresh = "battery-horse-correct"
        body = models.UpdateSettingsFlowWithPasswordMethod(method="password", password=fresh)
        body = models.UpdateSettingsFlowBody(body)
        app.accept("updateSettingsFlow", flow=settings, x_session_token=token, update_settings_flow_body=body)
        login = app.accept("createNativeLoginFlow").id
        app.refused_with("updateLoginFlow", 400, models.LoginFlow, **app.log_in(login, somebody.email, PASSWORD))
        app.accept("updateLoginFlow", **app.log_in(login, somebody.email, fresh))

    def test_browser_recovery_leads_to_the_settings(self):
        somebody, visitor = Account(), Visitor.browser()
        somebody.browser().refuse("createBrowserRecoveryFlow", 400, "session_already_available")
        forbidden = "self_service_flow_return_to_forbidden"
        visitor.refuse("createBrowserRecoveryFlow", 400, forbidden, return_to=ELSEWHERE)
        flow = visitor.accept("createBrowserRecoveryFlow")
        visitor.accept("getRecoveryFlow", id=flow.id)
        Visitor.browser().refuse("getRecoveryFlow", 403, "security_csrf_violation", id=flow.id)
        forged = recover(flow.id, somebody.email, csrf="made-up")
        visitor.refuse("updateRecoveryFlow", 403, "security_csrf_violation", **forged)
        csrf = csrf_token(flow.ui)
        visitor.accept("updateRecoveryFlow", **recover(flow.id, somebody.email, csrf=csrf))
        code = mailed_code(somebody.email)
        self.assertTrue(visitor.moved("updateRecoveryFlow", **recover(flow.id, code=code, csrf=csrf)))
        visitor.admitted(None, somebody.identity)


class Verification(unittest.TestCase):
    def test_verification_marks_the_address(self):
        somebody, app = Account(), Visitor()
        forbidden = "self_service_flow_return_to_forbidden"
        app.refuse("createNativeVerificationFlow", 400, forbidden, return_to=ELSEWHERE)
        flow = app.accept("createNativeVerificationFlow").id
        app.accept("getVerificationFlow", id=flow)
        app.refuse("getVerificationFlow", 404, id=UNKNOWN_ID)
        app.refuse("updateVerificationFlow", 404, **verify(UNKNOWN_ID, somebody.email))
        refused = app.refused_with("updateVerificationFlow", 400, models.VerificationFlow, **verify(flow))
        has_message(refused.ui, 4000002)

        sent = app.accept("updateVerificationFlow", **verify(flow, somebody.email))
        self.assertEqual(sent.state, "sent_email")
        has_message(sent.ui, 1080003)
        has_message(app.accept("updateVerificationFlow", **verify(flow, code="000000")).ui, 4070006)
        done = app.accept("updateVerificationFlow", **verify(flow, code=mailed_code(somebody.email)))
        self.assertEqual(done.state, "passed_challenge")
        has_message(done.ui, 1080002)
        session = app.accept("toSession", x_session_token=somebody.token)
        address = session.identity.verifiable_addresses[0]
        self.assertEqual((address.verified, address.status), (True, "completed"))

    def test_browser_verification_is_bound_to_its_browser(self):
        somebody, visitor = Account(), Visitor.browser()
        forbidden = "self_service_flow_return_to_forbidden"
        visitor.refuse("createBrowserVerificationFlow", 400, forbidden, return_to=ELSEWHERE)
        flow = visitor.accept("createBrowserVerificationFlow")
        Visitor.browser().refuse("getVerificationFlow", 403, "security_csrf_violation", id=flow.id)
        forged = verify(flow.id, somebody.email, csrf="made-up")
        visitor.refuse("updateVerificationFlow", 403, "security_csrf_violation", **forged)
        csrf = csrf_token(flow.ui)
        visitor.accept("updateVerificationFlow", **verify(flow.id, somebody.email, csrf=csrf))
        submit = verify(flow.id, code=mailed_code(somebody.email), csrf=csrf)
        self.assertEqual(visitor.accept("updateVerificationFlow", **submit).state, "passed_challenge")
