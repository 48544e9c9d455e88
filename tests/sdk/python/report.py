"""Runs the suite, and tells which operations were called and what came of it, for the table of all clients."""

import collections
import importlib.metadata
import json
import os
import sys
import unittest

# By operation: how often it succeeded, refused as it should, and did neither.
operations = collections.defaultdict(lambda: {"succeeded": 0, "refused": 0, "failed": 0})


def record(operation, outcome):
    operations[operation][outcome] += 1


def main():
    suite = unittest.defaultTestLoader.discover(os.path.dirname(os.path.abspath(__file__)))
    result = unittest.TextTestRunner(verbosity=2).run(suite)
    failed = len(result.failures) + len(result.errors)
    skipped = [test.id() for test, _ in result.skipped]
    path = os.environ.get("SDK_REPORT")
    if path:
        with open(path, "w", encoding="utf-8") as file:
            json.dump(
                {
                    "client": f"ory-client {importlib.metadata.version('ory-client')} (Python)",
                    "passed": result.testsRun - failed - len(skipped),
                    "failed": failed,
                    "skipped": skipped,
                    "operations": operations,
                },
                file,
                indent=2,
            )
    return 0 if result.wasSuccessful() and result.testsRun > 0 else 1


if __name__ == "__main__":
    # The tests import this module by its name; as `__main__` it would count for itself.
    import report

    sys.exit(report.main())
