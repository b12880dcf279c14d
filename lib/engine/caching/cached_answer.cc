#include "engine/caching/cached_answer.h"

#include <cstring>
#include <new>
#include <utility>

namespace once::engine {
namespace {

std::uint32_t length_of(std::string_view text) {
  return static_cast<std::uint32_t>(text.size());  // all but values are limited to less
}

// Takes the next of the texts that stand one behind the other.
std::string_view take(const char*& at, std::size_t length) {
  const std::string_view text(at, length);
  at += length;
  return text;
}

}  // namespace

std::size_t CachedAnswer::bytes_for(const Key& key, const Found& found, bool whole) {
  std::size_t bytes =
      sizeof(CachedAnswer) + key.id.size() + key.operation.size() + key.tenant.size();
  for (const FieldDigest& field : found.record.fields) {
    bytes += sizeof field + field.name.size() + 1;
  }
  if (!whole) return bytes;
  const Outcome& outcome = *found.outcome;
  bytes += outcome.content_type.size() + outcome.code.size() + outcome.message.size();
  return bytes + (outcome.value ? outcome.value->size() : 0);
}

CachedAnswer::Pointer CachedAnswer::make(std::uint64_t hash, const Key& key, const Found& found,
                                         bool whole) {
  const std::size_t bytes = bytes_for(key, found, whole);
  Record record = found.record;  // what is thrown is thrown here, and nothing is lost
  void* memory = ::operator new(bytes);
  auto* answer = new (memory) CachedAnswer(hash, bytes, whole, std::move(record));
  Pointer made(answer);
  const Outcome& outcome = *found.outcome;
  const std::string_view value = outcome.value ? std::string_view(*outcome.value) : "";
  answer->kind_ = outcome.kind;
  answer->has_value_ = outcome.value.has_value();
  answer->omitted_bytes_ = outcome.omitted_bytes;
  answer->lengths_ = {.id = length_of(key.id),
                      .operation = length_of(key.operation),
                      .tenant = length_of(key.tenant),
                      .content_type = length_of(outcome.content_type),
                      .code = length_of(outcome.code),
                      .message = length_of(outcome.message),
                      .value = value.size()};
  char* at = reinterpret_cast<char*>(answer + 1);
  const auto put = [&at](std::string_view text) {
    if (!text.empty()) std::memcpy(at, text.data(), text.size());
    at += text.size();
  };
  for (const Bytes* part : {&key.id, &key.operation, &key.tenant}) put(*part);
  if (!whole) return made;
  for (const std::string* text : {&outcome.content_type, &outcome.code, &outcome.message})
    put(*text);
  put(value);
  return made;
}

void CachedAnswer::Free::operator()(CachedAnswer* answer) const {
  answer->~CachedAnswer();
  ::operator delete(static_cast<void*>(answer));
}

bool CachedAnswer::is_of(const Key& key) const {
  if (lengths_.id != key.id.size() || lengths_.operation != key.operation.size() ||
      lengths_.tenant != key.tenant.size()) {
    return false;
  }
  const char* at = texts();
  return take(at, lengths_.id) == key.id && take(at, lengths_.operation) == key.operation &&
         take(at, lengths_.tenant) == key.tenant;
}

Outcome CachedAnswer::outcome() const {
  const char* at = texts() + lengths_.id + lengths_.operation + lengths_.tenant;
  Outcome outcome{.kind = kind_, .omitted_bytes = omitted_bytes_};
  for (const auto& [text, length] :
       {std::pair(&outcome.content_type, lengths_.content_type),
        std::pair(&outcome.code, lengths_.code), std::pair(&outcome.message, lengths_.message)}) {
    if (length != 0) text->assign(take(at, length));
  }
  if (has_value_) outcome.value.emplace(at, lengths_.value);
  return outcome;
}

}  // namespace once::engine
