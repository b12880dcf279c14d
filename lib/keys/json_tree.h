// JsonTree: a JSON text (RFC 8259) taken apart for RFC 8785: members sorted, scalars in their one
// spelling.
//
// Fault model: the text may be hostile. It is refused, and never crashes anything, when it is no
// JSON, holds a NUL byte, invalid UTF-8 or a lone surrogate, names a member twice, carries an
// integer that a double cannot, or nests deeper than max_json_depth. Depth is counted while
// reading, so that neither reading, writing nor destroying a tree can use up the stack.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "once/error.h"

namespace once::keys {

inline constexpr std::size_t max_json_depth = 500;

struct JsonNode {
  enum class Kind : std::uint8_t { scalar, array, object };

  // Whether a node counts, while a selection is made (selection.h).
  enum class Mark : std::uint8_t { none, leads_to_included, included, excluded };

  Kind kind = Kind::scalar;
  Mark mark = Mark::none;
  std::string name{};                // of a member, as the text means it (not escaped)
  std::string text{};                // of a scalar, canonical
  std::vector<JsonNode> children{};  // members sorted by name, or elements
};

// Errors: invalid_argument, saying what and where.
[[nodiscard]] Result<JsonNode> parse_json(std::string_view json);

// The tree as the canonical text that it stands for.
[[nodiscard]] std::string write_json(const JsonNode& node);

// Sorts the members of an object by name. The name that is there twice, or null.
[[nodiscard]] const std::string* sort_members(JsonNode& object);

// The child of an object by its name, or of an array by its index in decimal digits; null when
// there is none. The members are sorted.
[[nodiscard]] JsonNode* find_child(JsonNode& node, std::string_view name);

// Only ASCII, and not too much of it: what is no JSON need not be text at all.
[[nodiscard]] std::string printable(std::string_view text);

// `text` (valid UTF-8) as a JSON string with no more escapes than needed (RFC 8785, 3.2.2.2).
[[nodiscard]] std::string quote(std::string_view text);

// Whether `a` comes before `b` by UTF-16 code units (RFC 8785, 3.2.3); both are valid UTF-8.
[[nodiscard]] bool utf16_less(std::string_view a, std::string_view b);

}  // namespace once::keys
