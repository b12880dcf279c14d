// The canonical form of a JSON text (RFC 8785), after leaving members out; see once/key.h.
//
// Integers that a double cannot carry exactly are refused, since two different ones would come out
// the same. So 1152921504606846976 (2^60) is taken, and spelled 1152921504606847000 as RFC 8785 has
// it; that spelling itself is refused when it is handed in.
#include "base/error.h"
#include "keys/json_tree.h"
#include "keys/selection.h"
#include "once/key.h"

namespace once {

Result<std::string> canonical_json(std::string_view json, const Selection& selection) {
  auto tree = keys::parse_json(json);
  if (!tree) return pass(tree);
  if (auto selected = keys::select(*tree, selection); !selected) return pass(selected);
  return keys::write_json(*tree);
}

}  // namespace once
