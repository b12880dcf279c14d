#include "ledger/question.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "model/record_codec.h"

namespace once::ledger {
namespace {

// More than these are counted, and all of them are in Error::differing_fields.
constexpr std::size_t most_told = 8;
constexpr std::size_t longest_told = 80;

// Two lists of fields held against each other.
struct Difference {
  std::vector<std::string> names{};
  std::string told{};  // "'amount' differs, 'note' is missing"

  void add(const std::string& name, std::string_view how);
};

// A name in a message: as it is when it is plain text, else with %-escapes.
std::string shown(std::string_view name) {
  const bool plain = std::ranges::all_of(name, [](char c) { return c >= ' ' && c <= '~'; });
  std::string text = plain ? std::string(name) : escape(name);
  if (text.size() > longest_told) text = text.substr(0, longest_told) + "...";
  return text;
}

void Difference::add(const std::string& name, std::string_view how) {
  names.push_back(name);
  if (names.size() > most_told) return;
  told += fmt::format("{}'{}' {}", told.empty() ? "" : ", ", shown(name), how);
}

// Both are by name and bound to the same key.
Difference difference_of(const std::vector<FieldDigest>& kept,
                         const std::vector<FieldDigest>& asked) {
  Difference difference;
  auto was = kept.begin();
  auto is = asked.begin();
  while (was != kept.end() || is != asked.end()) {
    if (is == asked.end() || (was != kept.end() && was->name < is->name)) {
      difference.add((was++)->name, "is missing");
    } else if (was == kept.end() || is->name < was->name) {
      difference.add((is++)->name, "was added");
    } else {
      if (was->digest != is->digest) difference.add(was->name, "differs");
      ++was;
      ++is;
    }
  }
  if (difference.names.size() > most_told) {
    difference.told += fmt::format(", and {} more", difference.names.size() - most_told);
  }
  return difference;
}

bool both_have_fields(const Record& record, const ReserveOptions& asked) {
  return !record.fields.empty() && !asked.fields.empty();
}

}  // namespace

bool asks_differently(const Key& key, const Record& record, const ReserveOptions& asked) {
  if (record.fingerprint && asked.fingerprint && *record.fingerprint != *asked.fingerprint) {
    return true;
  }
  return both_have_fields(record, asked) && record.fields != model::bind_fields(key, asked.fields);
}

std::unexpected<Error> mismatch(const Key& key, const Record& record, const ReserveOptions& asked) {
  Difference difference;
  std::string why = "its fingerprint differs";
  if (both_have_fields(record, asked)) {
    difference = difference_of(record.fields, model::bind_fields(key, asked.fields));
    why = difference.names.empty() ? why + " in none of the fields kept" : difference.told;
  }
  auto error = fail(ErrorCode::mismatch,
                    "key {} was used for a different question ({}); use a new key for a new "
                    "question",
                    key.to_string(), why);
  error.error().differing_fields = std::move(difference.names);
  return error;
}

}  // namespace once::ledger
