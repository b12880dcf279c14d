// Fields: values written in their one spelling as they are added, and a tree made of them when
// something is derived.
#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/utf8.h"
#include "keys/fields_reader.h"
#include "keys/json_number.h"
#include "keys/selection.h"
#include "once/fields.h"

namespace once {
namespace {

// A place in a message grows no further than this.
constexpr std::size_t longest_place = 300;

std::string spell_integer(const std::string& digits, double value) {
  return keys::is_exact(digits, value) ? keys::spell_number(value) : keys::quote(digits);
}

}  // namespace

FieldValue::FieldValue(std::string_view text)
    : FieldValue(is_utf8(text) ? FieldValue(Kind::scalar, keys::quote(text))
                               : wrong("is no UTF-8; give bytes as hexadecimal digits or base64")) {
}

FieldValue::FieldValue(const char* text)
    : FieldValue(text != nullptr ? FieldValue(std::string_view(text))
                                 : wrong("is a null pointer; give text, or std::nullopt")) {}

FieldValue::FieldValue(double number)
    : FieldValue(std::isfinite(number)
                     ? FieldValue(Kind::scalar, keys::spell_number(number))
                     : wrong("is infinite or not a number, which JSON cannot say")) {}

FieldValue::FieldValue(const Fields& fields) : FieldValue(fields.object_) {}

FieldValue FieldValue::of_integer(std::uint64_t value) {
  return {Kind::scalar, spell_integer(std::to_string(value), static_cast<double>(value))};
}

FieldValue FieldValue::of_integer(std::int64_t value) {
  return {Kind::scalar, spell_integer(std::to_string(value), static_cast<double>(value))};
}

FieldValue FieldValue::wrong(std::string why) {
  FieldValue value(nullptr);
  value.wrong_ = std::move(why);
  return value;
}

void FieldValue::append(std::string_view name, FieldValue&& child) {
  if (!wrong_.empty()) return;
  const std::string part =
      kind_ == Kind::object ? std::string(name) : std::to_string(children_.size());
  if (!child.wrong_.empty()) {
    // Of a value itself it says what it is, of one within it where, which has an end.
    const bool within = child.wrong_.starts_with('/');
    wrong_ = within && child.wrong_.size() > longest_place ? "" : "/" + keys::printable(part);
    wrong_ += (within ? "" : " ") + child.wrong_;
  } else if (child.depth_ + 1 > keys::max_json_depth) {
    wrong_ = fmt::format("/{} is nested deeper than {} levels; make it flatter",
                         keys::printable(part), keys::max_json_depth);
  } else if (!is_utf8(name)) {
    wrong_ = "/" + keys::printable(part) + " has a name that is no UTF-8";
  }
  if (!wrong_.empty()) return;
  depth_ = std::max(depth_, child.depth_ + 1);
  if (kind_ == Kind::object) names_.emplace_back(name);
  children_.push_back(std::move(child));
}

static_assert(static_cast<int>(keys::JsonNode::Kind::scalar) == 0 &&
              static_cast<int>(keys::JsonNode::Kind::array) == 1 &&
              static_cast<int>(keys::JsonNode::Kind::object) == 2);

Fields& Fields::add(std::string_view name, FieldValue value) {
  object_.append(name, std::move(value));
  return *this;
}

std::string keys::FieldsReader::fill(const FieldValue& value, JsonNode& node) {
  node.kind = static_cast<JsonNode::Kind>(value.kind_);
  node.text = value.text_;
  for (std::size_t i = 0; i < value.children_.size(); ++i) {
    JsonNode& child = node.children.emplace_back();
    if (value.kind_ == FieldValue::Kind::object) child.name = value.names_[i];
    if (std::string twice = fill(value.children_[i], child); !twice.empty()) return twice;
  }
  if (value.kind_ != FieldValue::Kind::object) return "";
  const std::string* twice = sort_members(node);
  return twice == nullptr ? "" : "the field '" + printable(*twice) + "' is listed twice";
}

Result<keys::JsonNode> keys::FieldsReader::read(const Fields& fields) {
  if (!fields.object_.wrong_.empty()) {
    return fail(ErrorCode::invalid_argument, "the field {}", fields.object_.wrong_);
  }
  JsonNode root;
  if (const std::string twice = fill(fields.object_, root); !twice.empty()) {
    return fail(ErrorCode::invalid_argument, "{}; list each once", twice);
  }
  return root;
}

Result<std::string> canonical_json(const Fields& fields, const Selection& selection) {
  auto tree = keys::FieldsReader::read(fields);
  if (!tree) return pass(tree);
  if (auto selected = keys::select(*tree, selection); !selected) return pass(selected);
  return keys::write_json(*tree);
}

}  // namespace once
