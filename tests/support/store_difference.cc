#include "support/store_difference.h"

#include <fmt/format.h>

#include <string_view>

namespace once::testing {

namespace {

std::string text_of(const std::optional<Fingerprint>& digest) {
  if (!digest) return "none";
  return fmt::format("{:02x}{:02x}{:02x}{:02x}", digest->digest[0], digest->digest[1],
                     digest->digest[2], digest->digest[3]);
}

std::int64_t ms(Time time) {
  return time.time_since_epoch().count();
}

}  // namespace

std::string text_of(const std::optional<Outcome>& outcome) {
  if (!outcome) return "none";
  return fmt::format("{} {} of {} bytes{}", to_string(outcome->kind), text_of(outcome->digest()),
                     outcome->value ? outcome->value->size() : 0,
                     outcome->omitted_bytes == 0 ? "" : " (omitted)");
}

std::string difference_of(const Record& should, const Record& is) {
  const auto differs = [](std::string_view field, const auto& wanted, const auto& found) {
    return fmt::format("{} is {} instead of {}", field, found, wanted);
  };
  if (is.status != should.status) {
    return differs("the status", to_string(should.status), to_string(is.status));
  }
  if (is.on_abandon != should.on_abandon) {
    return differs("on_abandon", to_string(should.on_abandon), to_string(is.on_abandon));
  }
  if (should.token.value != 0 && is.token != should.token) {
    return differs("the token", should.token.value, is.token.value);
  }
  if (is.token.value == 0 || is.origin.value == 0) return "its token or origin is 0";
  if (should.origin.value != 0 && is.origin != should.origin) {
    return differs("the origin", should.origin.value, is.origin.value);
  }
  if (is.attempt != should.attempt) return differs("the attempt", should.attempt, is.attempt);
  if (is.created_at != should.created_at) {
    return differs("created_at", ms(should.created_at), ms(is.created_at));
  }
  if (is.updated_at != should.updated_at) {
    return differs("updated_at", ms(should.updated_at), ms(is.updated_at));
  }
  if (is.lease_until != should.lease_until) {
    return differs("lease_until", ms(should.lease_until), ms(is.lease_until));
  }
  if (is.expires_at != should.expires_at) {
    return differs("expires_at", ms(should.expires_at), ms(is.expires_at));
  }
  if (is.retention != should.retention) {
    return differs("the retention", should.retention.count(), is.retention.count());
  }
  if (is.holder != should.holder) {
    return differs("the holder", to_string(should.holder), to_string(is.holder));
  }
  if (is.fingerprint != should.fingerprint) {
    return differs("the fingerprint", text_of(should.fingerprint), text_of(is.fingerprint));
  }
  if (is.fields != should.fields) {
    return differs("the number of fields, or one,", should.fields.size(), is.fields.size());
  }
  if (is.outcome != should.outcome) {
    return differs("the outcome's digest", text_of(should.outcome), text_of(is.outcome));
  }
  return "";
}

std::string difference_of(const Checkpoint& should, const Checkpoint& is) {
  if (is.data != should.data) return "has other data";
  if (should.token.value != 0 && is.token != should.token) return "has another token";
  if (should.sequence != 0 && is.sequence != should.sequence) return "has another sequence";
  if (is.created_at != should.created_at) return "was made at another time";
  return "";
}

std::string difference_of(const HistoryEntry& should, const HistoryEntry& is) {
  if (is.key != should.key) {
    return fmt::format("is of key {} instead of {}", is.key.to_string(), should.key.to_string());
  }
  if (is.what != should.what) {
    return fmt::format("says {} instead of {}", to_string(is.what), to_string(should.what));
  }
  if (is.time != should.time) return "has another time";
  if (is.deadline != should.deadline) {
    return fmt::format("has deadline {} instead of {}", ms(is.deadline), ms(should.deadline));
  }
  if (is.what != What::removed && is.status != should.status) return "has another status";
  if (should.token.value != 0 && is.token != should.token) return "has another token";
  if (is.attempt != should.attempt) return "has another attempt";
  if (is.holder != should.holder) return "has another holder";
  return "";
}

std::string difference_of(const Event& should, const Event& is) {
  Event expected = should;
  if (expected.sequence == 0) expected.sequence = is.sequence;
  return is == expected ? "" : fmt::format("differs from {}", should.id);
}

}  // namespace once::testing
