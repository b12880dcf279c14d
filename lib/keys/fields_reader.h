// Fields (once/fields.h) as the tree of the JSON object that they are.
#pragma once

#include "keys/json_tree.h"
#include "once/error.h"
#include "once/fields.h"

namespace once::keys {

class FieldsReader {
 public:
  // Errors: invalid_argument for the first value that cannot be written, or a name that is no
  // UTF-8 or there twice.
  [[nodiscard]] static Result<JsonNode> read(const Fields& fields);

 private:
  // What is wrong, or empty.
  [[nodiscard]] static std::string fill(const FieldValue& value, JsonNode& node);
};

}  // namespace once::keys
