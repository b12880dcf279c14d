#include "container/envelope.h"

#include <algorithm>
#include <cstring>

#include "base/coding.h"
#include "base/error.h"
#include "container/digest.h"
#include "container/extent_io.h"

namespace once::container {
namespace {

constexpr std::size_t header_bytes = 32;
constexpr std::size_t alignment = 8;
constexpr char marker_bytes[] = "OENV";
constexpr std::uint32_t marker = 0x564e454f;  // the same
constexpr std::size_t window_bytes = std::size_t{64} << 10;

struct Header {
  std::uint32_t length = 0;
  std::uint32_t marker = 0;
  std::uint64_t file = 0;
  std::uint64_t offset = 0;
  std::uint64_t durable = 0;
};

Header read_header(std::string_view bytes) {
  Reader reader(bytes);
  Header header;
  header.length = reader.u32();
  header.marker = reader.u32();
  header.file = reader.u64();
  header.offset = reader.u64();
  header.durable = reader.u64();
  return header;
}

}  // namespace

std::size_t envelope_bytes(std::size_t payload) {
  return round_up(header_bytes + payload, alignment) + 8;
}

void append_envelope(Bytes& out, const Envelope& envelope, std::uint64_t seed) {
  const std::size_t start = out.size();
  Writer writer(out);
  writer.u32(static_cast<std::uint32_t>(envelope.payload.size()));
  writer.u32(marker);
  writer.u64(envelope.file);
  writer.u64(envelope.offset);
  writer.u64(envelope.durable);
  writer.raw(envelope.payload);
  out.resize(start + envelope_bytes(envelope.payload.size()) - 8, '\0');
  writer.u64(digest_of(std::string_view(out).substr(start), seed));
}

std::optional<Envelope> parse_envelope(std::string_view bytes, std::uint64_t seed) {
  if (bytes.size() < header_bytes) return std::nullopt;
  const Header header = read_header(bytes);
  const std::size_t whole = envelope_bytes(header.length);
  if (header.length == 0 || header.marker != marker || whole > bytes.size()) return std::nullopt;
  Reader checksum(bytes.substr(whole - 8));
  if (checksum.u64() != digest_of(bytes.substr(0, whole - 8), seed)) return std::nullopt;
  return Envelope{.file = header.file,
                  .offset = header.offset,
                  .durable = header.durable,
                  .payload = bytes.substr(header_bytes, header.length)};
}

Result<std::string_view> EnvelopeReader::window(std::uint64_t position, std::size_t bytes) {
  if (position < window_start_ || position + bytes > window_start_ + window_.size()) {
    const std::uint64_t wanted =
        std::min<std::uint64_t>(std::max(bytes, window_bytes), capacity_ - position);
    window_.resize(wanted);
    window_start_ = position;
    if (auto read = read_stream(device_, *place_.extents, position, wanted, window_.data());
        !read) {
      window_.clear();
      return pass(read);
    }
  }
  return std::string_view(window_).substr(position - window_start_, bytes);
}

Result<std::optional<Envelope>> EnvelopeReader::next() {
  if (at_.position + header_bytes + 8 > capacity_) return std::nullopt;
  auto start = window(at_.position, header_bytes);
  if (!start) return pass(start);
  const Header header = read_header(*start);
  const std::size_t whole = envelope_bytes(header.length);
  const bool fits = header.marker == marker && header.file == place_.file &&
                    header.offset == at_.offset && header.length > 0 &&
                    header.length <= most_envelope_payload && whole <= capacity_ - at_.position;
  if (!fits) return std::nullopt;
  auto bytes = window(at_.position, whole);
  if (!bytes) return pass(bytes);
  auto envelope = parse_envelope(*bytes, place_.seed);
  if (envelope) {
    at_.offset += envelope->payload.size();
    at_.position += whole;
  }
  return envelope;
}

namespace {

// Whether an envelope behind the end says that what stood there was on disk.
Result<bool> vouched_for(Device& device, const LogPlace& place, const LogMark& end) {
  const std::uint64_t capacity = length_of(*place.extents);
  constexpr std::size_t step = std::size_t{1} << 20;
  Bytes bytes;
  Bytes found;
  for (std::uint64_t start = end.position; start < capacity; start += step) {
    // With enough of the next piece for a header that begins in this one.
    bytes.resize(std::min<std::uint64_t>(step + header_bytes, capacity - start));
    if (auto read = read_stream(device, *place.extents, start, bytes.size(), bytes.data()); !read) {
      return pass(read);
    }
    for (std::size_t at = 0; at < step && at + header_bytes <= bytes.size(); at += alignment) {
      // Mostly it is zeros.
      if (std::memcmp(bytes.data() + at + 4, marker_bytes, 4) != 0) continue;
      const Header header = read_header(std::string_view(bytes).substr(at, header_bytes));
      const std::size_t whole = envelope_bytes(header.length);
      const bool later = header.file == place.file && header.offset > end.offset &&
                         header.durable > end.offset && header.length <= most_envelope_payload &&
                         whole <= capacity - start - at;
      if (!later) continue;
      found.resize(whole);
      if (auto read = read_stream(device, *place.extents, start + at, whole, found.data()); !read) {
        return pass(read);
      }
      if (parse_envelope(found, place.seed)) return true;
    }
  }
  return false;
}

}  // namespace

Result<LogScan> scan_log(Device& device, const LogPlace& place, std::uint64_t known) {
  LogScan scan;
  for (bool again = false;; again = true) {
    // From the device anew: what looked like the end may have been appended to meanwhile.
    EnvelopeReader reader(device, place, scan.end);
    const LogMark before = scan.end;
    while (true) {
      const LogMark at = reader.at();
      auto envelope = reader.next();
      if (!envelope) return pass(envelope);
      if (!*envelope) break;
      scan.durable = std::max(scan.durable, (*envelope)->durable);
      if (scan.marks.empty() || at.position - scan.marks.back().position >= log_mark_bytes) {
        scan.marks.push_back(at);
      }
    }
    scan.end = reader.at();
    // Damage is what a second look finds as well.
    if (again && before.position == scan.end.position) break;
    const std::uint64_t vouched_bytes = std::max(known, scan.durable);
    bool vouched = scan.end.offset < vouched_bytes;
    if (!vouched) {
      auto found = vouched_for(device, place, scan.end);
      if (!found) return pass(found);
      vouched = *found;
    }
    if (!vouched) {
      scan.damage.clear();
      return scan;
    }
    scan.damage = fmt::format(
        "byte {}: a log has {} whole bytes, and what was written after them is no longer there",
        place_in(*place.extents, scan.end.position), scan.end.offset);
  }
  return scan;
}

}  // namespace once::container
