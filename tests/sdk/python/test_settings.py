"""Settings, and the sessions of one identity."""

import unittest

from ory_client import models

from kratos import UNKNOWN_ID
from kratos import Account, Visitor, csrf_token, has_message, new_email


def change(flow, body, token=None):
    return {"flow": flow, "update_settings_flow_body": models.UpdateSettingsFlowBody(body), "x_session_token": token}


def profile(email, first, csrf=None):
    traits = {"email": email, "name": {"first": first}}
    return models.UpdateSettingsFlowWithProfileMethod(method="profile", traits=traits, csrf_token=csrf)


class Settings(unittest.TestCase):
    def test_native_settings_change_the_identity(self):
        somebody, stranger, app = Account(), Account(), Visitor()
        app.refuse("createNativeSettingsFlow", 401, "session_inactive")
        flow = app.accept("createNativeSettingsFlow", x_session_token=somebody.token)
        self.assertEqual(flow.identity.id, somebody.identity)
        app.accept("getSettingsFlow", id=flow.id, x_session_token=somebody.token)
        app.refuse("getSettingsFlow", 401, id=flow.id)
        app.refuse("getSettingsFlow", 404, id=UNKNOWN_ID, x_session_token=somebody.token)
        mismatch = "security_identity_mismatch"
        app.refuse("getSettingsFlow", 403, mismatch, id=flow.id, x_session_token=stranger.token)
        theirs = profile(stranger.email, "Eve")
        app.refuse("updateSettingsFlow", 403, mismatch, **change(flow.id, theirs, stranger.token))
        app.refuse("updateSettingsFlow", 401, **change(flow.id, theirs))

        weak = models.UpdateSettingsFlowWithPasswordMethod(method="password", password="short")
        weak = change(flow.id, weak, somebody.token)
        has_message(app.refused_with("updateSettingsFlow", 400, models.SettingsFlow, **weak).ui, 4000032)
        app.admitted(somebody.token, somebody.identity)
        own = change(flow.id, profile(somebody.email, "Zoe"), somebody.token)
        saved = app.accept("updateSettingsFlow", **own)
        self.assertEqual((saved.state, saved.identity.traits["name"]["first"]), ("success", "Zoe"))
        has_message(saved.ui, 1050001)
        session = app.accept("toSession", x_session_token=somebody.token)
        self.assertEqual(session.identity.traits["name"]["first"], "Zoe")

        # The service hears of a new address at once, although the session was cached with the old one.
        address = new_email()
        app.accept("updateSettingsFlow", **change(flow.id, profile(address, "Zoe"), somebody.token))
        _, headers = app.knock(somebody.token)
        self.assertEqual(headers.get("x-user-email", address), address)

    def test_browser_settings_need_a_cookie_and_a_csrf_token(self):
        somebody = Account()
        Visitor.browser().refuse("createBrowserSettingsFlow", 401, "session_inactive")
        visitor = somebody.browser()
        flow = visitor.accept("createBrowserSettingsFlow")
        visitor.accept("getSettingsFlow", id=flow.id)
        forged = change(flow.id, profile(somebody.email, "Zoe", "made-up"))
        visitor.refuse("updateSettingsFlow", 403, "security_csrf_violation", **forged)
        own = change(flow.id, profile(somebody.email, "Zoe", csrf_token(flow.ui)))
        self.assertEqual(visitor.accept("updateSettingsFlow", **own).identity.traits["name"]["first"], "Zoe")
        visitor.admitted(None, somebody.identity)

    def test_sessions_are_listed_and_ended(self):
        somebody, stranger, app = Account(), Account(), Visitor()
        second, third = somebody.sign_in_natively(), somebody.sign_in_natively()
        sessions = app.accept("listMySessions", x_session_token=somebody.token)
        self.assertEqual([session.id for session in sessions], [third.session.id, second.session.id])
        self.assertEqual(len(sessions[0].devices), 1)
        page = app.api.list_my_sessions_with_http_info(x_session_token=somebody.token, per_page=1, page=1)
        self.assertEqual([session.id for session in page.data], [second.session.id])
        self.assertIn(("x-total-count", "2"), [(name.lower(), value) for name, value in page.headers.items()])
        app.refuse("listMySessions", 401, x_session_token="ory_st_unknown")

        for login in (second, third):
            app.admitted(login.session_token, somebody.identity)
        app.refuse("disableMySession", 400, id=somebody.session, x_session_token=somebody.token)
        app.refuse("disableMySession", 401, id=second.session.id, x_session_token="ory_st_unknown")
        app.accept("disableMySession", status=204, id=second.session.id, x_session_token=stranger.token)
        app.admitted(second.session_token, somebody.identity)
        app.accept("disableMySession", status=204, id=second.session.id, x_session_token=somebody.token)
        app.turned_away(second.session_token)
        app.admitted(third.session_token, somebody.identity)

        app.refuse("disableMyOtherSessions", 401, x_session_token="ory_st_unknown")
        self.assertEqual(app.accept("disableMyOtherSessions", x_session_token=somebody.token).count, 1)
        app.turned_away(third.session_token)
        app.admitted(somebody.token, somebody.identity)
