#include "log_records.h"

#include <utility>

namespace once::crash {
namespace {

constexpr std::size_t block = 32768;
constexpr std::size_t header = 7;

enum Fragment : unsigned char { none = 0, whole = 1, first = 2, middle = 3, last = 4 };

}  // namespace

std::vector<LogRecord> read_records(std::string_view log) {
  std::vector<LogRecord> records;
  std::string payload;
  std::size_t at = 0;
  while (at + header <= log.size()) {
    if (block - at % block < header) {
      at += block - at % block;
      continue;
    }
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(log[at + i]); };
    const std::size_t length = byte(4) + (std::size_t{byte(5)} << 8);
    const unsigned char kind = byte(6);
    if (kind < whole || kind > last || at + header + length > log.size()) break;
    if (kind == whole || kind == first) payload.clear();
    payload.append(log.substr(at + header, length));
    at += header + length;
    if (kind == whole || kind == last) records.push_back({at, std::move(payload)});
  }
  return records;
}

}  // namespace once::crash
