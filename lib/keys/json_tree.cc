#include "keys/json_tree.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/error.h"
#include "keys/json_number.h"
#include "once/key.h"

namespace once::keys {
namespace {

using Json = nlohmann::json;
using Kind = JsonNode::Kind;

constexpr std::size_t longest_detail = 200;

// Builds the tree from the parser's events. The parser itself does not recurse.
class TreeBuilder final : public nlohmann::json_sax<Json> {
 public:
  bool null() override { return scalar("null"); }
  bool boolean(bool value) override { return scalar(value ? "true" : "false"); }
  bool number_integer(number_integer_t value) override {
    return integer(std::to_string(value), static_cast<double>(value));
  }
  bool number_unsigned(number_unsigned_t value) override {
    return integer(std::to_string(value), static_cast<double>(value));
  }
  // Integers over 64 bits come here too.
  bool number_float(number_float_t value, const string_t& literal) override {
    const bool whole = literal.find_first_not_of("-0123456789") == string_t::npos;
    return whole ? integer(literal, value) : scalar(spell_number(value));
  }
  bool string(string_t& value) override { return scalar(quote(value)); }
  bool binary(binary_t& /*value*/) override { return refuse("binary data is no JSON"); }

  bool start_object(std::size_t /*members*/) override { return start(Kind::object); }
  bool start_array(std::size_t /*elements*/) override { return start(Kind::array); }
  bool key(string_t& name) override {
    name_ = std::move(name);
    return true;
  }
  bool end_object() override {
    const std::string* twice = sort_members(open_.back());
    if (twice == nullptr) return end();
    return refuse(fmt::format("the member '{}' is there twice at {}; name each member once",
                              printable(*twice), place(false)));
  }
  bool end_array() override { return end(); }

  bool parse_error(std::size_t /*position*/, const std::string& /*token*/,
                   const Json::exception& exception) override {
    // "[json.exception.parse_error.101] parse error at line 1, column 2: ...; last read: '...'":
    // neither the library's number for it nor the bytes read belong in a message.
    std::string_view what = exception.what();
    what.remove_prefix(std::min(what.find("] ") + 2, what.size()));
    return refuse("this is no JSON: " + printable(what.substr(0, what.find("; last read"))));
  }

  Result<JsonNode> take() {
    if (!error_.empty()) return fail(ErrorCode::invalid_argument, "{}", error_);
    return std::move(root_);
  }

 private:
  bool refuse(std::string message) {
    error_ = std::move(message);
    return false;
  }

  bool integer(const std::string& literal, double value) {
    if (is_exact(literal, value)) return scalar(spell_number(value));
    return refuse(fmt::format(
        "the integer {} at {} cannot be carried exactly by a JSON number; write it as a string",
        printable(literal), place(true)));
  }

  bool scalar(std::string text) {
    attach({.name = std::exchange(name_, {}), .text = std::move(text)});
    return true;
  }

  bool start(Kind kind) {
    if (open_.size() == max_json_depth) {
      return refuse(
          fmt::format("the JSON is nested deeper than {} levels; make it flatter", max_json_depth));
    }
    open_.push_back({.kind = kind, .name = std::exchange(name_, {})});
    return true;
  }

  bool end() {
    JsonNode node = std::move(open_.back());
    open_.pop_back();
    attach(std::move(node));
    return true;
  }

  void attach(JsonNode node) {
    if (open_.empty()) {
      root_ = std::move(node);
    } else {
      open_.back().children.push_back(std::move(node));
    }
  }

  // Where reading has come to, as a JSON pointer: the innermost open container, or what is about to
  // be put into it.
  [[nodiscard]] std::string place(bool of_next) const {
    std::string pointer;
    const auto step = [&pointer](const JsonNode& parent, const std::string& name) {
      pointer += '/';
      pointer += parent.kind == Kind::object ? name : std::to_string(parent.children.size());
    };
    for (std::size_t i = 1; i < open_.size(); ++i) step(open_[i - 1], open_[i].name);
    if (of_next && !open_.empty()) step(open_.back(), name_);
    return pointer.empty() ? "the top level" : printable(pointer);
  }

  std::vector<JsonNode> open_;  // containers begun and not ended, outermost first
  std::string name_;            // of the member whose value comes next
  JsonNode root_;
  std::string error_;
};

}  // namespace

Result<JsonNode> parse_json(std::string_view json) {
  // The parser takes a NUL for the end of the text and would overlook what follows.
  const std::size_t nul = json.find('\0');
  if (nul != std::string_view::npos) {
    return fail(ErrorCode::invalid_argument, "this is no JSON: there is a NUL at byte {}", nul);
  }
  TreeBuilder builder;
  const bool parsed = Json::sax_parse(json.begin(), json.end(), &builder);
  auto tree = builder.take();
  if (tree && !parsed) return fail(ErrorCode::invalid_argument, "this is no JSON");
  return tree;
}

const std::string* sort_members(JsonNode& object) {
  auto& members = object.children;
  std::ranges::sort(members, utf16_less, &JsonNode::name);
  const auto twice = std::ranges::adjacent_find(members, {}, &JsonNode::name);
  return twice == members.end() ? nullptr : &twice->name;
}

JsonNode* find_child(JsonNode& node, std::string_view name) {
  if (node.kind == Kind::object) {
    const auto at = std::ranges::lower_bound(node.children, name, utf16_less, &JsonNode::name);
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

std::string printable(std::string_view text) {
  std::string safe(text.substr(0, longest_detail));
  for (char& c : safe) {
    if (c < ' ' || c > '~') c = '?';
  }
  return text.size() > longest_detail ? safe + "..." : safe;
}

namespace {

// Not deeper than max_json_depth.
void write(const JsonNode& node, std::string& out) {
  if (node.kind == Kind::scalar) {
    out += node.text;
    return;
  }
  const bool object = node.kind == Kind::object;
  out += object ? '{' : '[';
  bool first = true;
  for (const JsonNode& child : node.children) {
    if (!first) out += ',';
    first = false;
    if (object) out += quote(child.name) + ':';
    write(child, out);
  }
  out += object ? '}' : ']';
}

}  // namespace

std::string write_json(const JsonNode& node) {
  std::string text;
  write(node, text);
  return text;
}

std::string quote(std::string_view text) {
  std::string quoted = "\"";
  for (const char c : text) {
    switch (c) {
      case '"':
        quoted += "\\\"";
        break;
      case '\\':
        quoted += "\\\\";
        break;
      case '\b':
        quoted += "\\b";
        break;
      case '\f':
        quoted += "\\f";
        break;
      case '\n':
        quoted += "\\n";
        break;
      case '\r':
        quoted += "\\r";
        break;
      case '\t':
        quoted += "\\t";
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20) {
          quoted += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
        } else {
          quoted += c;
        }
    }
  }
  return quoted + '"';
}

// UTF-8 sorts as code points do, and so does UTF-16 but for one thing: what is beyond U+FFFF is
// written with surrogates (D800 to DFFF) and comes before U+E000 to U+FFFF. In UTF-8 the former
// begin with F0 to F4, the latter with EE and EF.
bool utf16_less(std::string_view a, std::string_view b) {
  const auto [in_a, in_b] = std::mismatch(a.begin(), a.end(), b.begin(), b.end());
  if (in_a == a.end() || in_b == b.end()) return in_a == a.end() && in_b != b.end();
  const auto weight = [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte == 0xee || byte == 0xef ? byte + 0x10 : static_cast<int>(byte);
  };
  return weight(*in_a) < weight(*in_b);
}

}  // namespace once::keys
