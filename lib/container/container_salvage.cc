// Reading a container's logs when they are damaged: whatever is whole of them, also behind the
// damage.
#include <algorithm>
#include <optional>
#include <utility>

#include "base/error.h"
#include "container/container.h"
#include "container/extent_io.h"

namespace once::container {
namespace {

// Envelopes begin at multiples of this.
constexpr std::size_t step = 8;

// Those parts of the extents that can be: within the device, and not more than it holds.
Extents within(std::uint64_t size, const Extents& extents) {
  Extents inside;
  std::uint64_t left = size;
  for (const Extent& extent : extents) {
    if (extent.offset >= size) continue;
    const std::uint64_t length = std::min({extent.length, size - extent.offset, left});
    if (length > 0) inside.push_back({.offset = extent.offset, .length = length});
    left -= length;
  }
  return inside;
}

// All bytes of the extents; zeros where the device does not give them.
Bytes read_what_can_be(Device& device, const Extents& extents) {
  Bytes bytes;
  for (const Extent& extent : extents) {
    const std::size_t start = bytes.size();
    bytes.resize(start + extent.length, '\0');
    if (device.read(extent.offset, extent.length, bytes.data() + start)) continue;
    for (std::uint64_t at = 0; at < extent.length; at += block_bytes) {
      const std::uint64_t length = std::min(block_bytes, extent.length - at);
      char* const buffer = bytes.data() + start + at;
      if (!device.read(extent.offset + at, length, buffer)) std::fill_n(buffer, length, '\0');
    }
  }
  return bytes;
}

struct Found {
  Envelope envelope{};
  std::uint64_t position = 0;
};
struct Search {
  std::vector<Found> found{};
  // Where too much looked like envelopes to go on.
  std::optional<std::uint64_t> given_up{};
};

Search find_envelopes(std::string_view bytes, std::uint64_t file, std::uint64_t seed) {
  Search search;
  SearchLimit limit(bytes.size());
  for (std::size_t at = 0; at < bytes.size();) {
    const std::string_view rest = bytes.substr(at);
    const std::size_t whole = claimed_bytes(rest, file);
    const bool can_be = whole > 0 && whole <= rest.size();
    if (can_be && !limit.spend(whole)) {
      search.given_up = at;
      break;
    }
    const auto envelope = can_be ? parse_envelope(rest, seed) : std::nullopt;
    if (!envelope) {
      at += step;
      continue;
    }
    search.found.push_back({.envelope = *envelope, .position = at});
    at += whole;
  }
  return search;
}

}  // namespace

Result<Container::DamagedLog> Container::read_damaged_log(const std::string& path) {
  SharedExtents extents;
  std::uint64_t id = 0;
  std::uint64_t known = 0;
  {
    MutexLock lock(mutex_);
    const Entry* entry = table_.find(normal_path(path));
    if (entry == nullptr || !entry->log) {
      return fail(ErrorCode::not_found, "there is no log {} in the container", path);
    }
    extents = entry->extents;
    id = entry->id;
    known = entry->seal.size;
  }
  auto size = device_->size();
  if (!size) return pass(size);
  const Extents there = within(*size, *extents);
  const Bytes stream = read_what_can_be(*device_, there);
  for (std::size_t at = 0; at < stream.size(); at += block_bytes) {
    known = std::max(known, noted_durable(std::string_view(stream).substr(at), id, seed_));
  }
  const Search search = find_envelopes(stream, id, seed_);
  const std::vector<Found>& found = search.found;

  DamagedLog log;
  std::uint64_t end = 0;  // of the last envelope, in the extents
  const auto missing = [&](std::uint64_t length) {
    if (log.missing.empty()) {
      log.problem = fmt::format(
          "byte {}: what was written to a log after its first {} bytes is "
          "not there",
          place_in(there.empty() ? *extents : there, end), log.bytes.size());
    }
    log.missing.push_back({.offset = log.bytes.size(), .length = length});
  };
  for (auto at = found.begin(); at != found.end(); ++at) {
    const std::uint64_t expected = log.bytes.size();
    const std::uint64_t offset = at->envelope.offset;
    if (offset < expected) continue;
    if (offset > stream.size()) break;  // nobody has written that much into these extents
    if (offset > expected) {
      // Nobody may say that what is missing was on disk: then a power cut may have left this, and
      // opening ends the log before. Or it was acknowledged as buffered, and is damaged.
      missing(offset - expected);
      log.bytes.resize(offset, '\0');
    }
    log.bytes += at->envelope.payload;
    end = at->position + envelope_bytes(at->envelope.payload.size());
  }
  if (known > log.bytes.size()) missing(known - log.bytes.size());
  if (search.given_up && log.problem.empty()) {
    log.problem = fmt::format(
        "byte {}: too much looks like more of a log after its first {} bytes to tell whether "
        "anything is missing",
        place_in(there, *search.given_up), log.bytes.size());
    log.missing.push_back({.offset = log.bytes.size(), .length = stream.size() - *search.given_up});
  }
  return log;
}

}  // namespace once::container
