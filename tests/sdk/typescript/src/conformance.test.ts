// All tests in one process, so that they make one report.

import "./login.js"
import "./recovery.js"
import "./registration.js"
import "./settings.js"
