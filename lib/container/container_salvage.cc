// Reading a container when it is damaged: the files that are left when frames of its journal are
// lost, and of logs whatever is whole, also behind the damage.
#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "base/error.h"
#include "container/container.h"
#include "container/extent_io.h"
#include "container/salvaged_journal.h"
#include "container/search_limit.h"
#include "container/stray_logs.h"

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

// Those parts of `extents` that are none of `own`.
Extents outside_of(Extents own, const Extents& extents) {
  std::ranges::sort(own, {}, &Extent::offset);
  Extents outside;
  for (const Extent& extent : extents) {
    std::uint64_t from = extent.offset;
    for (const Extent& one : own) {
      if (one.end() <= from) continue;
      if (one.offset >= extent.end()) break;
      if (one.offset > from) outside.push_back({.offset = from, .length = one.offset - from});
      from = one.end();
    }
    if (from < extent.end()) outside.push_back({.offset = from, .length = extent.end() - from});
  }
  return outside;
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

Result<void> Container::salvage_files() {
  auto salvaged = salvage_journal(*device_, superblock_);
  if (!salvaged) return pass(salvaged);
  table_ = std::move(salvaged->table);
  sequence_ = durable_sequence_ = salvaged->sequence;
  journal_losses_ = std::move(salvaged->losses);
  journal_mended_ = std::move(salvaged->mended);
  removed_unknown_ = std::move(salvaged->removed);
  if (!journal_losses_.empty()) forget_doubtful_files();
  const Extents unclaimed = unclaimed_blocks(false);
  // A log that a lost frame removed, or took blocks from, is still there with all of them.
  const Extents searched = journal_losses_.empty() ? unclaimed : unclaimed_blocks(true);
  stray_logs_ = find_stray_logs(*device_, searched, seed_, [&](std::uint64_t id) ONCE_NO_ANALYSIS {
    if (const Entry* entry = table_.find(id)) return entry->log;
    const auto range = std::ranges::lower_bound(salvaged->unknown, id, {}, &IdRange::before);
    return range != salvaged->unknown.end() && id > range->after && id < range->before;
  });
  for (auto& [id, extents] : stray_logs_) {
    if (const Entry* entry = table_.find(id)) extents = outside_of(*entry->extents, extents);
  }
  // The blocks right behind a log may have been given to it last, and hold the rest of an envelope.
  std::set<std::uint64_t> given;
  for (const auto& [id, entry] : table_.entries()) {
    if (!entry.log || entry.extents->empty()) continue;
    const std::uint64_t end = entry.extents->back().end();
    const auto run = std::ranges::lower_bound(unclaimed, end, {}, &Extent::offset);
    if (run == unclaimed.end() || run->offset != end || !given.insert(end).second) continue;
    const std::uint64_t most = round_up(envelope_bytes(most_envelope_payload), block_bytes);
    Extents& strays = stray_logs_[id];
    strays.insert(strays.begin(), {.offset = end, .length = std::min(run->length, most)});
  }
  return {};
}

// What a lost frame removed is still in the table, and where it was may be what came later. Its
// blocks' own checksums do not show that, since these fit the other file. Logs need no such care:
// their envelopes say whose they are.
void Container::forget_doubtful_files() {
  struct Claim {
    Extent extent{};
    std::uint64_t id = 0;
  };
  std::vector<Claim> claims;
  std::map<std::uint64_t, std::string> names;
  for (const auto& [path, id] : table_.names()) names[id] = path;
  for (const auto& [id, entry] : table_.entries()) {
    for (const Extent& extent : *entry.extents) claims.push_back({.extent = extent, .id = id});
  }
  std::ranges::sort(claims, {}, [](const Claim& claim) { return claim.extent.offset; });
  std::set<std::uint64_t> overlaid;
  for (std::size_t i = 1, widest = 0; i < claims.size(); ++i) {
    if (claims[i].extent.offset < claims[widest].extent.end()) {
      overlaid.insert({claims[i].id, claims[widest].id});
    }
    if (claims[i].extent.end() > claims[widest].extent.end()) widest = i;
  }
  SearchLimit limit(allocator_.end());
  std::set<std::uint64_t> doubtful;
  std::set<std::uint64_t> nameless;
  for (auto& [id, entry] : table_.entries()) {
    if (entry.log) continue;
    const bool is_nameless = parent_of(names[id]) == nameless_directory;
    if (is_nameless && entry.seal.digest == 0) {
      nameless.insert(id);  // may be a log; then what is in its blocks says so
    } else if (entry.seal.digest != 0) {
      const bool may = limit.spend(entry.seal.size);
      const auto seal =
          may ? read_seal(entry.extents, entry.seal.size) : Result<Seal>(Seal{.size = 0});
      if (!seal || *seal != entry.seal) (is_nameless ? nameless : doubtful).insert(id);
    } else if (overlaid.contains(id)) {
      doubtful.insert(id);
    } else if (entry.seal.size == 0) {
      // That may be what is lost, and the MANIFEST knows the sizes of tables.
      entry.seal.size = std::min(length_of(*entry.extents), allocator_.end());
    }
  }
  for (const std::uint64_t id : doubtful) {
    journal_losses_.push_back(fmt::format(
        "what it said of {}: its bytes are not those that were written, or may be another file's",
        names[id]));
  }
  table_.forget(doubtful);
  table_.forget(nameless);
}

Extents Container::unclaimed_blocks(bool but_by_sealed) const {
  Extents claimed;
  for (const JournalSlot& slot : superblock_.slots) {
    for (const std::uint64_t copy : slot.copies) {
      claimed.push_back({.offset = copy, .length = slot.length});
    }
  }
  for (const auto& [id, entry] : table_.entries()) {
    if (but_by_sealed && entry.seal.digest == 0) continue;
    claimed.insert(claimed.end(), entry.extents->begin(), entry.extents->end());
  }
  std::ranges::sort(claimed, {}, &Extent::offset);
  Extents unclaimed;
  std::uint64_t from = first_block_offset;
  for (const Extent& extent : claimed) {
    const std::uint64_t to = std::min(extent.offset, allocator_.end());
    if (to > from) unclaimed.push_back({.offset = from, .length = to - from});
    from = std::max(from, extent.end());
  }
  if (from < allocator_.end()) {
    unclaimed.push_back({.offset = from, .length = allocator_.end() - from});
  }
  return unclaimed;
}

Result<Container::DamagedLog> Container::read_damaged_log(const std::string& path) {
  LogOnDevice log;
  {
    MutexLock lock(mutex_);
    const Entry* entry = table_.find(normal_path(path));
    if (entry == nullptr || !entry->log) {
      return fail(ErrorCode::not_found, "there is no log {} in the container", path);
    }
    log = {.id = entry->id, .extents = *entry->extents, .known = entry->seal.size};
    if (const auto more = stray_logs_.find(entry->id); more != stray_logs_.end()) {
      log.extents.insert(log.extents.end(), more->second.begin(), more->second.end());
    }
  }
  return read_damaged_log(log);
}

Result<std::vector<Container::DamagedLog>> Container::read_stray_logs() {
  std::vector<LogOnDevice> strays;
  std::uint64_t newest = 0;  // of the WALs that have names
  {
    MutexLock lock(mutex_);
    for (const auto& [path, id] : table_.names()) {
      if (is_wal(path)) newest = std::max(newest, id);
    }
    for (const auto& [id, extents] : stray_logs_) {
      if (table_.find(id) == nullptr) strays.push_back({.id = id, .extents = extents});
    }
  }
  std::vector<DamagedLog> logs;
  for (const LogOnDevice& stray : strays) {
    auto log = read_damaged_log(stray);
    if (!log) return pass(log);
    log->newest = stray.id > newest;
    logs.push_back(std::move(*log));
  }
  return logs;
}

Result<Container::DamagedLog> Container::read_damaged_log(const LogOnDevice& on_device) {
  const std::uint64_t id = on_device.id;
  const Extents& extents = on_device.extents;
  std::uint64_t known = on_device.known;
  auto size = device_->size();
  if (!size) return pass(size);
  const Extents there = within(*size, extents);
  const Bytes stream = read_what_can_be(*device_, there);
  for (std::size_t at = 0; at < stream.size(); at += block_bytes) {
    known = std::max(known, noted_durable(std::string_view(stream).substr(at), id, seed_));
  }
  Search search = find_envelopes(stream, id, seed_);
  std::vector<Found>& found = search.found;
  // In order but for extents of which the journal does not tell.
  std::ranges::sort(found, {},
                    [](const Found& one) { return std::pair(one.envelope.offset, one.position); });

  DamagedLog log;
  std::uint64_t end = 0;  // of the last envelope, in the extents
  const auto missing = [&](std::uint64_t length) {
    if (log.missing.empty()) {
      log.problem = fmt::format(
          "byte {}: what was written to a log after its first {} bytes is "
          "not there",
          place_in(there.empty() ? extents : there, end), log.bytes.size());
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
