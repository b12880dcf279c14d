// Record: what the rivals that know only keys and bytes keep for a key.
//
//   0   status     1 byte: 1 in progress, 2 finished
//   1   lease      8 bytes, milliseconds since the epoch
//   9   expires    8 bytes, the same
//   17  token      8 bytes
//   25  attempt    4 bytes
//   29  owner      1 byte length, then its bytes
//       outcome    the rest
#pragma once

#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <string_view>

namespace once::bench {

enum class Kept : std::uint8_t { in_progress = 1, finished = 2 };

struct Record {
  Kept status = Kept::in_progress;
  std::int64_t lease_until = 0;
  std::int64_t expires_at = 0;
  std::uint64_t token = 0;
  std::uint32_t attempt = 1;
  std::string_view owner{};
  std::string_view outcome{};

  // Whether a reservation may take the key over at `now`.
  [[nodiscard]] bool free(std::int64_t now) const {
    return status == Kept::finished ? expires_at <= now : lease_until <= now;
  }
};

inline constexpr std::size_t record_head = 30;

inline std::string encode(const Record& record) {
  std::string bytes(record_head, '\0');
  bytes[0] = static_cast<char>(record.status);
  std::memcpy(&bytes[1], &record.lease_until, 8);
  std::memcpy(&bytes[9], &record.expires_at, 8);
  std::memcpy(&bytes[17], &record.token, 8);
  std::memcpy(&bytes[25], &record.attempt, 4);
  bytes[29] = static_cast<char>(record.owner.size());
  bytes += record.owner;
  bytes += record.outcome;
  return bytes;
}

// A view of `bytes`.
inline Record decode(std::string_view bytes) {
  if (bytes.size() < record_head) throw std::runtime_error("a record is cut short");
  Record record;
  record.status = static_cast<Kept>(bytes[0]);
  std::memcpy(&record.lease_until, &bytes[1], 8);
  std::memcpy(&record.expires_at, &bytes[9], 8);
  std::memcpy(&record.token, &bytes[17], 8);
  std::memcpy(&record.attempt, &bytes[25], 4);
  const auto owner = static_cast<std::uint8_t>(bytes[29]);
  record.owner = bytes.substr(record_head, owner);
  record.outcome = bytes.substr(record_head + owner);
  return record;
}

}  // namespace once::bench
