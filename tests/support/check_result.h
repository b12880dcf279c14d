// Takes a Result apart in a test: the value, or a failed check that shows the error.
#pragma once

#include <doctest/doctest.h>

#include <utility>

#include "once/error.h"

namespace once::testing {

// The value; ends the test case with the error's message if there is none.
template <class T>
T value_of(Result<T> result) {
  if (!result) {
    const std::string text =
        std::string(to_string(result.error().code)) + ": " + result.error().message;
    FAIL(text);
  }
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

// The code of the error; ends the test case if it succeeded.
template <class T>
ErrorCode error_of(const Result<T>& result) {
  if (result) FAIL("this should have failed");
  return result.error().code;
}

}  // namespace once::testing
