// Makes errors: the one way in which the library says that something failed.
//
//   if (id.empty()) return fail(ErrorCode::invalid_argument, "the id of a key is empty");
#pragma once

#include <fmt/format.h>

#include <expected>
#include <utility>

#include "once/error.h"

namespace once {

// An unexpected Error with a formatted message, to be returned from any function giving a Result.
template <class... Args>
[[nodiscard]] std::unexpected<Error> fail(ErrorCode code, fmt::format_string<Args...> format,
                                          Args&&... args) {
  return std::unexpected(
      Error{.code = code, .message = fmt::format(format, std::forward<Args>(args)...)});
}

// Passes the error of one Result on as that of another.
template <class T>
[[nodiscard]] std::unexpected<Error> pass(Result<T>& failed) {
  return std::unexpected(std::move(failed.error()));
}
template <class T>
[[nodiscard]] std::unexpected<Error> pass(Result<T>&& failed) {
  return std::unexpected(std::move(failed.error()));
}

}  // namespace once
