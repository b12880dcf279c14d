"""The count at the end of `./dev test` is that of the cases, and hides no failure."""

import contextlib
import io
import json
import unittest

import summary

DOCTEST = """===
[doctest] test cases:  {} |  {} passed | {} failed | {} skipped
[doctest] assertions: 700 | 700 passed | 0 failed |
[doctest] Status: SUCCESS!
"""


def test(result, stdout="", stderr=""):
    return json.dumps({"name": "x", "result": result, "stdout": stdout, "stderr": stderr})


def summarize(*lines):
    with contextlib.redirect_stdout(io.StringIO()):
        return summary.summarize(lines)


class SummaryTest(unittest.TestCase):
    def test_doctest_cases_are_added_up(self):
        said = summarize(test("OK", DOCTEST.format(12, 12, 0, 0)),
                         test("FAIL", DOCTEST.format(7, 5, 2, 0)))
        self.assertEqual(said, ("17 passed, 2 failed", False))

    def test_unittest_says_it_on_stderr(self):
        said = summarize(test("OK", stderr="....\n---\nRan 4 tests in 0.1s\n\nOK\n"))
        self.assertEqual(said, ("4 passed, 0 failed", True))

    def test_unittest_failures_errors_and_skips(self):
        text = "Ran 9 tests in 0.1s\n\nFAILED (failures=1, errors=2, skipped=3)\n"
        self.assertEqual(summarize(test("FAIL", stderr=text)),
                         ("3 passed, 3 failed", False))

    def test_skips_are_told_when_all_is_well(self):
        text = "Ran 1 test in 0.1s\n\nOK (skipped=1)\n"
        self.assertEqual(summarize(test("OK", stderr=text), test("OK")),
                         ("1 passed, 0 failed", True))

    def test_cases_that_doctest_skips_are_told(self):
        said = summarize(test("OK", DOCTEST.format(7, 7, 0, 1)))
        self.assertEqual(said, ("7 passed, 0 failed", True))

    def test_an_executable_without_a_report_is_one_case(self):
        self.assertEqual(summarize(test("OK"), test("OK", "hello")), ("2 passed, 0 failed", True))

    def test_a_crash_without_a_report_is_a_failure(self):
        self.assertEqual(summarize(test("OK"), test("FAIL")), ("1 passed, 1 failed", False))

    def test_a_timeout_is_a_failure_whatever_was_reported(self):
        said = summarize(test("TIMEOUT", DOCTEST.format(3, 3, 0, 0)))
        self.assertEqual(said, ("3 passed, 1 failed", False))

    def test_a_crash_after_a_good_report_is_a_failure(self):
        said = summarize(test("ERROR", stderr="Ran 2 tests in 0.1s\n\nOK\n"))
        self.assertEqual(said, ("2 passed, 1 failed", False))

    def test_nothing_run_is_no_success(self):
        self.assertEqual(summarize(), ("0 passed, 0 failed", False))
        self.assertEqual(summarize(test("OK", stderr="Ran 0 tests in 0.0s\n\nOK\n")),
                         ("0 passed, 0 failed", False))

    def test_the_first_complaints_are_told_again(self):
        doctest = ("../a_test.cc:7:\nTEST CASE:  a\n\n"
                   "../a_test.cc:9: ERROR: CHECK( 1 == 2 ) is NOT correct!\n  values: 1, 2\n\n"
                   "../a_test.cc:12: FATAL ERROR: REQUIRE( x ) is NOT correct!\n  values: 0\n\n")
        self.assertEqual(summary.complaints(doctest), [
            "../a_test.cc:9: ERROR: CHECK( 1 == 2 ) is NOT correct!\n  values: 1, 2",
            "../a_test.cc:12: FATAL ERROR: REQUIRE( x ) is NOT correct!\n  values: 0"])
        unittest_says = "FAIL: test_x (__main__.X)\n-----\nTraceback\n  y\nAssertionError: 1 != 2\n\n"
        self.assertIn("AssertionError: 1 != 2", summary.complaints(unittest_says)[0])
        self.assertEqual(summary.complaints("one\ntwo\nkilled\n"), ["one\ntwo\nkilled"])
        self.assertEqual(len(summary.complaints(doctest * 5)), summary.MOST_COMPLAINTS)

    def test_no_report_skipped(self):
        self.assertEqual(summarize(test("SKIP"), test("OK")), ("1 passed, 0 failed", True))


if __name__ == "__main__":
    unittest.main()
