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
constexpr std::uint32_t marker = 0x564e454f;       // the same
constexpr std::uint32_t note_marker = 0x4e59534f;  // "OSYN"
constexpr std::size_t window_bytes = std::size_t{512} << 10;

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

std::size_t claimed_bytes(std::string_view bytes, std::uint64_t file) {
  if (bytes.size() < header_bytes) return 0;
  // Mostly it is zeros.
  if (std::memcmp(bytes.data() + 4, marker_bytes, 4) != 0) return 0;
  const Header header = read_header(bytes);
  const bool can_be = header.file == file && header.length > 0 &&
                      header.length <= most_envelope_payload && header.durable <= header.offset;
  return can_be ? envelope_bytes(header.length) : 0;
}

Bytes sync_note(std::uint64_t file, std::uint64_t durable, std::uint64_t seed) {
  Bytes note;
  Writer writer(note);
  writer.u32(0);  // which no envelope has
  writer.u32(note_marker);
  writer.u64(file);
  writer.u64(durable);
  writer.u64(digest_of(note, seed));
  return note;
}

std::uint64_t noted_durable(std::string_view bytes, std::uint64_t file, std::uint64_t seed) {
  if (bytes.size() < sync_note_bytes) return 0;
  Reader reader(bytes.substr(0, sync_note_bytes));
  const std::uint32_t length = reader.u32();
  const std::uint32_t found = reader.u32();
  const std::uint64_t of = reader.u64();
  const std::uint64_t durable = reader.u64();
  if (length != 0 || found != note_marker || of != file) return 0;
  return reader.u64() == digest_of(bytes.substr(0, sync_note_bytes - 8), seed) ? durable : 0;
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

enum class Vouched { no, yes, cannot_tell };

// Whether an envelope or a note behind the end says that what stood there was on disk. `durable`
// becomes what the notes there say, if that is more.
Result<Vouched> vouched_for(Device& device, const LogPlace& place, const LogMark& end,
                            std::uint64_t* durable) {
  const std::uint64_t capacity = length_of(*place.extents);
  constexpr std::size_t step = std::size_t{1} << 20;
  SearchLimit limit(capacity);
  Bytes bytes;
  Bytes found;
  for (std::uint64_t start = end.position; start < capacity; start += step) {
    // With enough of the next piece for a header that begins in this one.
    bytes.resize(std::min<std::uint64_t>(step + header_bytes, capacity - start));
    if (auto read = read_stream(device, *place.extents, start, bytes.size(), bytes.data()); !read) {
      return pass(read);
    }
    for (std::size_t at = 0; at < step && at + header_bytes <= bytes.size(); at += alignment) {
      const std::string_view rest = std::string_view(bytes).substr(at);
      if ((start + at) % block_bytes == 0) {
        *durable = std::max(*durable, noted_durable(rest, place.file, place.seed));
        if (*durable > end.offset) return Vouched::yes;
      }
      const std::size_t whole = claimed_bytes(rest, place.file);
      if (whole == 0 || whole > capacity - start - at) continue;
      const Header header = read_header(rest);
      // What it calls durable must have found room between the end and itself.
      const bool later =
          header.durable > end.offset && header.offset - end.offset < start + at - end.position;
      if (!later) continue;
      if (!limit.spend(whole)) return Vouched::cannot_tell;
      found.resize(whole);
      if (auto read = read_stream(device, *place.extents, start + at, whole, found.data()); !read) {
        return pass(read);
      }
      if (parse_envelope(found, place.seed)) return Vouched::yes;
    }
  }
  return Vouched::no;
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
    Vouched vouched = Vouched::yes;
    if (scan.end.offset >= std::max(known, scan.durable)) {
      auto found = vouched_for(device, place, scan.end, &scan.durable);
      if (!found) return pass(found);
      vouched = *found;
    }
    if (vouched == Vouched::no) {
      scan.damage.clear();
      return scan;
    }
    scan.damage = fmt::format(
        "byte {}: a log has {} whole bytes, and {}", place_in(*place.extents, scan.end.position),
        scan.end.offset,
        vouched == Vouched::yes
            ? "what was written after them is no longer there"
            : "too much after them looks like more of it to tell whether anything is missing");
  }
  return scan;
}

}  // namespace once::container
