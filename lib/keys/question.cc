// Questions: a fingerprint of what is asked and a digest of each field; see once/question.h.
#include "once/question.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/error.h"
#include "keys/fields_reader.h"
#include "keys/json_tree.h"
#include "keys/selection.h"

namespace once {
namespace {

using keys::JsonNode;
using Kind = JsonNode::Kind;

// A part of a JSON pointer (RFC 6901).
std::string pointer_part(std::string_view name) {
  std::string part = "/";
  for (const char c : name) {
    if (c == '~') {
      part += "~0";
    } else if (c == '/') {
      part += "~1";
    } else {
      part += c;
    }
  }
  return part;
}

struct Entry {
  const JsonNode* node;
  std::string pointer;
  bool at_top;

  // As Selection writes it.
  [[nodiscard]] std::string name() const {
    const std::string& plain = node->name;
    const bool as_is = at_top && !plain.empty() && plain[0] != '/';
    return as_is ? plain : pointer;
  }
};

std::vector<Entry> entries_below(const JsonNode& object, const std::string& pointer) {
  std::vector<Entry> entries;
  entries.reserve(object.children.size());
  for (const JsonNode& child : object.children) {
    entries.push_back({&child, pointer + pointer_part(child.name), pointer.empty()});
  }
  return entries;
}

bool fits(const Entry& entry) {
  return entry.name().size() <= max_field_name_bytes;
}

// Takes objects apart, those nearest to the top first, as long as all fit.
std::vector<Entry> take_apart(std::vector<Entry> entries) {
  std::vector<Entry> kept;
  std::size_t left = entries.size();  // of entries, those at the end that were not looked at
  std::vector<Entry> queue = std::move(entries);
  for (std::size_t at = 0; at < queue.size(); ++at, --left) {
    const Entry entry = queue[at];
    const JsonNode& node = *entry.node;
    const std::size_t others = kept.size() + left - 1;
    const bool apart = node.kind == Kind::object && !node.children.empty() &&
                       others + node.children.size() <= max_question_fields;
    std::vector<Entry> below;
    if (apart) below = entries_below(node, entry.pointer);
    if (apart && std::ranges::all_of(below, fits)) {
      left += below.size();
      std::ranges::move(below, std::back_inserter(queue));
    } else {
      kept.push_back(entry);
    }
  }
  return kept;
}

Result<Question> question_in(Result<JsonNode> tree, const Selection& selection) {
  if (!tree) return pass(tree);
  if (auto selected = keys::select(*tree, selection); !selected) return pass(selected);
  Question question{.fingerprint = Fingerprint::of(keys::write_json(*tree))};
  if (tree->kind != Kind::object) return question;
  auto top = entries_below(*tree, "");
  if (top.size() > max_question_fields) {
    return fail(ErrorCode::limit_exceeded,
                "the question has {} fields at the top, and a digest of {} is kept at most; "
                "include those that matter, or use its fingerprint alone",
                top.size(), max_question_fields);
  }
  for (const Entry& entry : top) {
    if (fits(entry)) continue;
    return fail(ErrorCode::limit_exceeded,
                "the name of a field of the question has {} bytes, and {} are allowed; exclude it, "
                "or use its fingerprint alone",
                entry.name().size(), max_field_name_bytes);
  }
  for (const Entry& entry : take_apart(std::move(top))) {
    question.fields.push_back(FieldDigest::of(entry.name(), keys::write_json(*entry.node)));
  }
  std::ranges::sort(question.fields, {}, &FieldDigest::name);
  return question;
}

}  // namespace

Result<Question> question_of(std::string_view json, const Selection& selection) {
  return question_in(keys::parse_json(json), selection);
}

Result<Question> question_of(const Fields& fields, const Selection& selection) {
  return question_in(keys::FieldsReader::read(fields), selection);
}

}  // namespace once
