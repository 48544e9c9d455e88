"""Registration, and the operations that belong to no flow."""

import unittest

from ory_client import models

from kratos import ELSEWHERE, PASSWORD, UNKNOWN_ID
from kratos import Account, Visitor, actions, csrf_token, has_message, new_email, register


class Registration(unittest.TestCase):
    def test_native_registration_signs_in_and_mails_a_code(self):
        app, email = Visitor(), new_email()
        flow = app.accept("createNativeRegistrationFlow").id
        self.assertEqual(app.accept("getRegistrationFlow", id=flow).type, "api")
        for password, message in (("short", 4000032), (email, 4000031)):
            submit = register(flow, email, password)
            has_message(app.refused_with("updateRegistrationFlow", 400, models.RegistrationFlow, **submit).ui, message)

        result = app.accept("updateRegistrationFlow", **register(flow, email, PASSWORD))
        self.assertEqual(result.identity.traits["email"], email)
        address = result.identity.verifiable_addresses[0]
        self.assertEqual((address.value, address.verified), (email, False))
        self.assertEqual(result.identity.recovery_addresses[0].value, email)
        self.assertEqual(result.session.identity.id, result.identity.id)
        then = actions(result)
        self.assertEqual(sorted(then), ["set_ory_session_token", "show_verification_ui"])
        self.assertEqual(then["set_ory_session_token"].ory_session_token, result.session_token)
        verification = then["show_verification_ui"].flow
        self.assertEqual(verification.verifiable_address, email)
        app.accept("getVerificationFlow", id=verification.id)
        app.admitted(result.session_token, result.identity.id)

    def test_registration_flows_are_refused_to_who_has_no_use_for_them(self):
        somebody, app = Account(), Visitor()
        forbidden = "self_service_flow_return_to_forbidden"
        app.refuse("createNativeRegistrationFlow", 400, forbidden, return_to=ELSEWHERE)
        app.refuse("getRegistrationFlow", 404, id=UNKNOWN_ID)
        app.refuse("updateRegistrationFlow", 404, **register(UNKNOWN_ID, new_email(), PASSWORD))
        somebody.browser().refuse("createBrowserRegistrationFlow", 400, "session_already_available")

        submit = register(app.accept("createNativeRegistrationFlow").id, somebody.email, PASSWORD)
        has_message(app.refused_with("updateRegistrationFlow", 400, models.RegistrationFlow, **submit).ui, 4000007)

    def test_browser_registration_gives_a_cookie(self):
        visitor, email = Visitor.browser(), new_email()
        flow = visitor.accept("createBrowserRegistrationFlow")
        visitor.accept("getRegistrationFlow", id=flow.id)
        Visitor.browser().refuse("getRegistrationFlow", 403, "security_csrf_violation", id=flow.id)
        forged = register(flow.id, email, PASSWORD, "made-up")
        visitor.refuse("updateRegistrationFlow", 403, "security_csrf_violation", **forged)
        malformed = register(flow.id, "no address", PASSWORD, csrf_token(flow.ui))
        refused = visitor.refused_with("updateRegistrationFlow", 400, models.RegistrationFlow, **malformed)
        has_message(refused.ui, 4000040)
        submit = register(flow.id, email, PASSWORD, csrf_token(refused.ui))
        result = visitor.accept("updateRegistrationFlow", **submit)
        self.assertIsNone(result.session_token)
        visitor.admitted(None, result.identity.id)

    def test_errors_of_flows_can_be_read(self):
        app = Visitor()
        # An id that Kratos documents for those who build error pages.
        self.assertEqual(app.accept("getFlowError", id="stub:500").error["code"], 500)
        app.refuse("getFlowError", 404, id=UNKNOWN_ID)

    def test_the_webauthn_script_is_served(self):
        self.assertIn("oryWebAuthn", Visitor().accept("getWebAuthnJavaScript"))
