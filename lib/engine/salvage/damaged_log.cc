#include "engine/salvage/damaged_log.h"

#include <algorithm>
#include <optional>

#include "engine/salvage/rocksdb_bytes.h"

namespace once::engine {
namespace {

constexpr std::size_t block_bytes = std::size_t{32} << 10;
constexpr std::size_t header_bytes = 7;
enum Type : char { whole = 1, first = 2, middle = 3, last = 4 };

std::size_t length_in_header(ByteView header) {
  return static_cast<std::uint8_t>(header[4]) | std::size_t{static_cast<std::uint8_t>(header[5])}
                                                    << 8;
}

// The length of the record at the start of `bytes`, header and all, if it is sound.
std::optional<std::size_t> record_at(ByteView bytes) {
  if (bytes.size() < header_bytes || bytes[6] < whole || bytes[6] > last) return std::nullopt;
  const std::size_t length = length_in_header(bytes);
  if (length > bytes.size() - header_bytes) return std::nullopt;
  const std::uint32_t crc = masked_crc(bytes.substr(6, 1), bytes.substr(header_bytes, length));
  if (fixed32(bytes) != crc) return std::nullopt;
  return header_bytes + length;
}

void append_record(Bytes& out, Type type, ByteView payload) {
  const char kind = type;
  put_fixed32(out, masked_crc({&kind, 1}, payload));
  out.push_back(static_cast<char>(payload.size() & 0xff));
  out.push_back(static_cast<char>(payload.size() >> 8));
  out.push_back(kind);
  out += payload;
}

// Records of exactly `bytes` bytes, at least a header, too short to be a batch.
Bytes nothing(std::size_t bytes) {
  constexpr std::size_t longest = 11;
  Bytes made;
  while (made.size() < bytes) {
    const std::size_t left = bytes - made.size();
    std::size_t payload = std::min(longest, left - header_bytes);
    const std::size_t rest = left - header_bytes - payload;
    // No less than a header may be left for the next one.
    if (rest > 0 && rest < header_bytes) payload -= header_bytes - rest;
    append_record(made, whole, Bytes(payload, '\0'));
  }
  return made;
}

// Whether bytes that end the log may be what a crash left of a record that was being appended.
bool is_torn(ByteView end, std::size_t left_in_block) {
  if (std::ranges::all_of(end, [](char byte) { return byte == 0; })) return true;
  if (end.size() < header_bytes) return true;
  const bool known = end[6] >= whole && end[6] <= last;
  const std::size_t length = header_bytes + length_in_header(end);
  return known && length > end.size() && length <= left_in_block;
}

}  // namespace

std::vector<LogGap> mend_log(Bytes& log) {
  std::vector<LogGap> gaps;
  for (std::size_t start = 0; start < log.size(); start += block_bytes) {
    const std::size_t end = std::min(start + block_bytes, log.size());
    const bool is_last = end == log.size();
    for (std::size_t at = start; at < end;) {
      const ByteView rest = ByteView(log).substr(at, end - at);
      if (const auto length = record_at(rest)) {
        at += *length;
        continue;
      }
      // Too little for a header is filled with zeros.
      if (!is_last && rest.size() < header_bytes) break;
      // Not nearer than a header: a record lay here, and what stands in its place has one too.
      std::size_t next = std::min(header_bytes, rest.size());
      while (next < rest.size() && !record_at(rest.substr(next))) ++next;
      if (is_last && next == rest.size() && is_torn(rest, start + block_bytes - at)) {
        log.resize(at);
        return gaps;
      }
      if (gaps.empty() || gaps.back().offset + gaps.back().length != at) {
        gaps.push_back({.offset = at});
      }
      gaps.back().length += next;
      log.replace(at, next, nothing(next));
      at += next;
    }
  }
  return gaps;
}

Bytes make_log(const std::vector<Bytes>& records) {
  Bytes log;
  for (const Bytes& record : records) {
    ByteView left(record);
    bool begun = false;
    do {
      std::size_t room = block_bytes - log.size() % block_bytes;
      if (room < header_bytes) {
        log.append(room, '\0');
        room = block_bytes;
      }
      const ByteView piece = left.substr(0, room - header_bytes);
      left.remove_prefix(piece.size());
      const bool ends = left.empty();
      const Type type = begun ? (ends ? last : middle) : (ends ? whole : first);
      append_record(log, type, piece);
      begun = true;
    } while (!left.empty());
  }
  return log;
}

}  // namespace once::engine
