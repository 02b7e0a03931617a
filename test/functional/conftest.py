# SPDX-License-Identifier: BSD-3-Clause
"""A lab for each test or for each module. If a test fails, its story is printed."""

import signal

import pytest

from lab import Lab


def pytest_configure(config):
    """Told to end, end as with Ctrl-C: labs are closed, nothing stays behind."""
    config.addinivalue_line("markers", "alone: judges throughput, or a time shorter than a second; scripts/test runs it alone")
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if not report.failed:
        return
    for value in getattr(item, "funcargs", {}).values():
        lab = value if isinstance(value, Lab) else getattr(value, "lab", None)
        if isinstance(lab, Lab):
            report.sections.append(("the lab", lab.story()))
            return


@pytest.fixture
def lab():
    with Lab() as the_lab:
        yield the_lab
