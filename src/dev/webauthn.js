// Passkeys are not part of the development identity server. Pages may load this script all the same.
(function () {
  function unsupported() {
    console.warn("The development identity server has no WebAuthn; use a real Ory Kratos for passkeys.");
  }
  window.oryWebAuthnInitialized = true;
  ["__oryWebAuthnLogin", "__oryWebAuthnRegistration", "oryWebAuthnLogin", "oryWebAuthnRegistration",
   "oryPasskeyLogin", "oryPasskeyLoginAutocompleteInit", "oryPasskeyRegistration", "oryPasskeySettingsRegistration",
  ].forEach(function (name) { window[name] = unsupported; });
})();
