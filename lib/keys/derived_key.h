// How derived ids are spelled. Other programs derive the same keys on their own, so none of this
// may change.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "keys/json_tree.h"

namespace once::keys {

inline constexpr std::string_view smith_prefix = "idem_";
inline constexpr std::size_t smith_digits = 16;
inline constexpr std::string_view content_prefix = "operation:";
inline constexpr std::size_t content_digits = 32;
inline constexpr std::size_t uuid_characters = 36;

// The digits that stand for a content: of SHA-256 over its canonical form.
[[nodiscard]] std::string digits_of(const JsonNode& content);

}  // namespace once::keys
