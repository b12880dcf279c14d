// The canonical form of a JSON text (RFC 8785), after leaving members out; see once/key.h.
//
// Integers that a double cannot carry exactly are refused, since two different ones would come out
// the same. So 1152921504606846976 (2^60) is taken, and spelled 1152921504606847000 as RFC 8785 has
// it; that spelling itself is refused when it is handed in.
#include <algorithm>
#include <charconv>
#include <optional>

#include "base/error.h"
#include "keys/json_tree.h"
#include "once/key.h"

namespace once {
namespace {

using keys::JsonNode;
using Kind = JsonNode::Kind;

// A part of a JSON pointer (RFC 6901): ~1 stands for '/', ~0 for '~'. nullopt for any other '~'.
std::optional<std::string> unescape_pointer(std::string_view token) {
  std::string name;
  for (std::size_t i = 0; i < token.size(); ++i) {
    if (token[i] != '~') {
      name += token[i];
      continue;
    }
    if (++i == token.size() || (token[i] != '0' && token[i] != '1')) return std::nullopt;
    name += token[i] == '0' ? '~' : '/';
  }
  return name;
}

JsonNode* find_child(JsonNode& node, std::string_view name) {
  if (node.kind == Kind::object) {
    const auto at = std::lower_bound(
        node.children.begin(), node.children.end(), name,
        [](const JsonNode& child, std::string_view n) { return keys::utf16_less(child.name, n); });
    return at != node.children.end() && at->name == name ? &*at : nullptr;
  }
  // An index: digits without a leading zero.
  if (node.kind != Kind::array || name.empty() || (name.size() > 1 && name[0] == '0')) {
    return nullptr;
  }
  std::size_t index = 0;
  const auto [stop, code] = std::from_chars(name.data(), name.data() + name.size(), index);
  if (code != std::errc{} || stop != name.data() + name.size()) return nullptr;
  return index < node.children.size() ? &node.children[index] : nullptr;
}

Result<void> exclude_path(JsonNode& root, std::string_view path) {
  const auto shown = escape(path.substr(0, 100));
  if (path.empty()) {
    return fail(ErrorCode::invalid_argument,
                "an excluded path is empty; name a member, or give a pointer like /meta/sent_at");
  }
  JsonNode* node = &root;
  if (path[0] != '/') {
    node = root.kind == Kind::object ? find_child(root, path) : nullptr;
  }
  for (std::size_t at = path[0] == '/' ? 1 : path.size() + 1; node && at <= path.size();) {
    const std::size_t end = std::min(path.find('/', at), path.size());
    const auto name = unescape_pointer(path.substr(at, end - at));
    if (!name) {
      return fail(ErrorCode::invalid_argument,
                  "the excluded path '{}' has a '~' that is not ~0 or ~1; write ~0 for '~'", shown);
    }
    node = find_child(*node, *name);
    at = end + 1;
  }
  if (!node) {
    return fail(ErrorCode::invalid_argument,
                "the excluded path '{}' is not in the JSON; correct it or leave it away", shown);
  }
  node->excluded = true;
  return {};
}

// Not deeper than keys::max_json_depth, see json_tree.h.
void write(const JsonNode& node, std::string& out) {
  if (node.kind == Kind::scalar) {
    out += node.text;
    return;
  }
  const bool object = node.kind == Kind::object;
  out += object ? '{' : '[';
  bool first = true;
  for (const JsonNode& child : node.children) {
    if (child.excluded) continue;
    if (!first) out += ',';
    first = false;
    if (object) out += keys::quote(child.name) + ':';
    write(child, out);
  }
  out += object ? '}' : ']';
}

}  // namespace

Result<std::string> canonical_json(std::string_view json, const std::vector<std::string>& exclude) {
  auto tree = keys::parse_json(json);
  if (!tree) return pass(tree);
  // All are looked up before any is left out, so that indices mean what the caller sees.
  for (const std::string& path : exclude) {
    if (auto excluded = exclude_path(*tree, path); !excluded) return pass(excluded);
  }
  std::string canonical;
  canonical.reserve(json.size());
  write(*tree, canonical);
  return canonical;
}

}  // namespace once
