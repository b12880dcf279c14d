// Keys derived from what is to be done; see once/key.h and once/fields.h.
#include "keys/derived_key.h"

#include <chrono>
#include <utility>

#include "base/error.h"
#include "base/random.h"
#include "base/utf8.h"
#include "keys/fields_reader.h"
#include "keys/selection.h"
#include "model/sha256.h"
#include "once/fields.h"
#include "once/key.h"

namespace once {

std::string keys::digits_of(const JsonNode& content) {
  return model::hex_prefix(model::sha256({write_json(content)}), content_digits);
}

namespace {

using keys::JsonNode;

// What counts of a JSON text or of Fields.
Result<JsonNode> selected(Result<JsonNode> tree, const Selection& selection) {
  if (!tree) return tree;
  if (auto done = keys::select(*tree, selection); !done) return pass(done);
  return tree;
}
Result<JsonNode> content_of(std::string_view json, const Selection& selection) {
  return selected(keys::parse_json(json), selection);
}
Result<JsonNode> content_of(const Fields& fields, const Selection& selection) {
  return selected(keys::FieldsReader::read(fields), selection);
}

Result<Key> content_key_of(const Result<JsonNode>& content) {
  if (!content) return std::unexpected(content.error());
  return Key(std::string(keys::content_prefix) + keys::digits_of(*content));
}

Result<JsonNode> context_node(const OperationContext& context) {
  JsonNode node{.kind = JsonNode::Kind::object, .name = "context"};
  for (const auto& [name, value] :
       {std::pair("organisation", &context.organisation), std::pair("user", &context.user)}) {
    if (!*value) continue;
    if (!is_utf8(**value)) {
      return fail(ErrorCode::invalid_argument,
                  "the {} of the context is no UTF-8; give bytes as hexadecimal digits or base64",
                  name);
    }
    node.children.push_back({.name = name, .text = keys::quote(**value)});
  }
  return node;
}

Result<Key> operation_key_of(Result<JsonNode> input, const OperationContext& context) {
  if (!input) return pass(input);
  auto around = context_node(context);
  if (!around) return pass(around);
  input->name = "input";
  JsonNode whole{.kind = JsonNode::Kind::object};
  whole.children.push_back(std::move(*around));
  whole.children.push_back(std::move(*input));
  return content_key_of(whole);
}

Result<Key> hybrid_key_of(const Key& given, const Result<JsonNode>& content) {
  if (auto valid = given.validate(); !valid) return pass(valid);
  if (!content) return std::unexpected(content.error());
  Key key = given;
  key.id += ':' + keys::digits_of(*content);
  if (auto valid = key.validate(); !valid) return pass(valid);
  return key;
}

}  // namespace

Key uuid_key() {
  return uuid_key(std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now()));
}

Key uuid_key(Time now) {
  return Key(uuid_v7(now));
}

Result<Key> smith_key(std::string_view run, std::string_view episode, std::string_view step) {
  if (run.empty()) {
    return fail(ErrorCode::invalid_argument,
                "the run of a smith key is empty; every run would get the same keys");
  }
  const auto digest = model::sha256({run, "::", episode, "::", step});
  return Key(std::string(keys::smith_prefix) + model::hex_prefix(digest, keys::smith_digits));
}

Result<Key> intent_key(const Intent& intent) {
  if (intent.intent.empty() || intent.actor.empty()) {
    return fail(ErrorCode::invalid_argument,
                "the {} of an intent key is empty; say which intent it is, and who carries it out",
                intent.intent.empty() ? "intent" : "actor");
  }
  return smith_key(intent.intent + ":" + intent.actor, intent.episode,
                   std::to_string(intent.step.value_or(0)));
}

Result<Key> content_key(std::string_view json, const Selection& selection) {
  return content_key_of(content_of(json, selection));
}

Result<Key> content_key(const Fields& fields, const Selection& selection) {
  return content_key_of(content_of(fields, selection));
}

Result<Key> operation_key(std::string_view json, const OperationContext& context,
                          const Selection& selection) {
  return operation_key_of(content_of(json, selection), context);
}

Result<Key> operation_key(const Fields& fields, const OperationContext& context,
                          const Selection& selection) {
  return operation_key_of(content_of(fields, selection), context);
}

Result<Key> hybrid_key(const Key& given, std::string_view json, const Selection& selection) {
  return hybrid_key_of(given, content_of(json, selection));
}

Result<Key> hybrid_key(const Key& given, const Fields& fields, const Selection& selection) {
  return hybrid_key_of(given, content_of(fields, selection));
}

Result<Key> given_or_content_key(const std::optional<Key>& given, const Fields& fields,
                                 const Selection& selection) {
  if (!given) return content_key(fields, selection);
  if (auto valid = given->validate(); !valid) return pass(valid);
  return *given;
}

Result<Key> Scope::key(const Key& key) const {
  const bool bare = key.tenant.empty() && key.operation.empty();
  if (!bare && (key.tenant != tenant || key.operation != operation)) {
    return fail(ErrorCode::invalid_argument,
                "key {} is of another tenant or operation than '{}/{}'; give a plain id",
                key.to_string(), escape(tenant), escape(operation));
  }
  Key scoped(tenant, operation, key.id);
  if (auto valid = scoped.validate(); !valid) return pass(valid);
  return scoped;
}

Bytes Scope::prefix() const {
  if (!operation.empty()) return escape(tenant) + '/' + escape(operation) + '/';
  return tenant.empty() ? "" : escape(tenant) + '/';
}

}  // namespace once
