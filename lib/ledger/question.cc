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

// A name in a message: as it is when it is plain text, else with %-escapes.
std::string shown(std::string_view name) {
  const bool plain = std::ranges::all_of(name, [](char c) { return c >= ' ' && c <= '~'; });
  std::string text = plain ? std::string(name) : escape(name);
  if (text.size() > longest_told) text = text.substr(0, longest_told) + "...";
  return text;
}

void add(Difference& difference, const std::string& name, std::string_view how) {
  difference.names.push_back(name);
  if (difference.names.size() > most_told) return;
  difference.told +=
      fmt::format("{}'{}' {}", difference.told.empty() ? "" : ", ", shown(name), how);
}

bool both_have_fields(const Record& record, const ReserveOptions& asked) {
  return !record.fields.empty() && !asked.fields.empty();
}

}  // namespace

Difference difference_of(const std::vector<FieldDigest>& kept,
                         const std::vector<FieldDigest>& asked) {
  Difference difference;
  auto was = kept.begin();
  auto is = asked.begin();
  while (was != kept.end() || is != asked.end()) {
    if (is == asked.end() || (was != kept.end() && was->name < is->name)) {
      add(difference, (was++)->name, "is missing");
    } else if (was == kept.end() || is->name < was->name) {
      add(difference, (is++)->name, "was added");
    } else {
      if (was->digest != is->digest) add(difference, was->name, "differs");
      ++was;
      ++is;
    }
  }
  if (difference.names.size() > most_told) {
    difference.told += fmt::format(", and {} more", difference.names.size() - most_told);
  }
  return difference;
}

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
