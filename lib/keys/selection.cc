#include "keys/selection.h"

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"

namespace once::keys {
namespace {

using Kind = JsonNode::Kind;
using Mark = JsonNode::Mark;

constexpr std::size_t shown_bytes = 100;

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

// The nodes from the one below `root` down to that at `path`. `what` is done with it: "excluded".
Result<std::vector<JsonNode*>> find_path(JsonNode& root, std::string_view path,
                                         std::string_view what) {
  std::string shown;  // with slashes as slashes
  for (const char c : path.substr(0, shown_bytes)) shown += c == '/' ? "/" : escape({&c, 1});
  if (path.empty()) {
    return fail(ErrorCode::invalid_argument,
                "an {} path is empty; name a member, or give a pointer like /meta/sent_at", what);
  }
  std::vector<JsonNode*> nodes;
  JsonNode* node = &root;
  if (path[0] != '/') {
    node = root.kind == Kind::object ? find_child(root, path) : nullptr;
    nodes.push_back(node);
  }
  for (std::size_t at = path[0] == '/' ? 1 : path.size() + 1; node && at <= path.size();) {
    const std::size_t end = std::min(path.find('/', at), path.size());
    const auto name = unescape_pointer(path.substr(at, end - at));
    if (!name) {
      return fail(ErrorCode::invalid_argument,
                  "the {} path '{}' has a '~' that is not ~0 or ~1; write ~0 for '~'", what, shown);
    }
    node = find_child(*node, *name);
    nodes.push_back(node);
    at = end + 1;
  }
  if (node != nullptr) return nodes;
  return fail(ErrorCode::invalid_argument,
              "the {} path '{}' is not in the JSON; correct it or leave it away", what, shown);
}

// The later ones of Mark win.
void mark(JsonNode& node, Mark as) {
  node.mark = std::max(node.mark, as);
}

// `whole`: the node is included, so that all of its children count but the excluded ones. True when
// something is left: a value, be it an empty one, and not just what had values in it.
bool prune(JsonNode& node, bool whole) {
  bool left = node.children.empty();
  std::erase_if(node.children, [whole](const JsonNode& child) {
    return child.mark == Mark::excluded || (!whole && child.mark == Mark::none);
  });
  for (JsonNode& child : node.children) {
    if (prune(child, whole || child.mark == Mark::included)) left = true;
  }
  return left;
}

}  // namespace

Result<void> select(JsonNode& root, const Selection& selection) {
  if (selection.include.empty() && selection.exclude.empty()) return {};
  for (const std::string& path : selection.include) {
    auto nodes = find_path(root, path, "included");
    if (!nodes) return pass(nodes);
    for (JsonNode* node : *nodes) mark(*node, Mark::leads_to_included);
    mark(*nodes->back(), Mark::included);
  }
  for (const std::string& path : selection.exclude) {
    auto nodes = find_path(root, path, "excluded");
    if (!nodes) return pass(nodes);
    mark(*nodes->back(), Mark::excluded);
  }
  if (prune(root, selection.include.empty())) return {};
  return fail(ErrorCode::invalid_argument,
              "the included and excluded paths leave nothing, so that whatever is asked would have "
              "one key; include something, or exclude less");
}

}  // namespace once::keys
