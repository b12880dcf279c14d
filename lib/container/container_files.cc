// Bytes of the files in a container: appending, syncing, reading.
#include <algorithm>
#include <utility>

#include "base/error.h"
#include "container/container.h"
#include "container/extent_io.h"

namespace once::container {
namespace {

// How much is allocated ahead. Logs get blocks that are written already, so that an append changes
// nothing in the host file system; that costs a write of zeros for blocks never used before.
constexpr std::uint64_t least_log_chunk = 64 << 10;
constexpr std::uint64_t most_log_chunk = std::uint64_t{1} << 20;
constexpr std::uint64_t most_blank = 64 << 10;
// What is not synced is begun to be written in pieces of this size.
constexpr std::uint64_t most_started = 256 << 10;
constexpr std::uint64_t most_chunk = std::uint64_t{8} << 20;
// Files up to this size are checked whole before they are read, larger ones at their end.
constexpr std::uint64_t small_file = 64 << 10;
constexpr std::size_t copy_bytes = std::size_t{1} << 20;
// What is allocated in more pieces at once is worse than a longer container.
constexpr std::size_t most_pieces = 32;

}  // namespace

Result<void> Container::make_room(File& file, std::uint64_t end) {
  const std::uint64_t capacity = length_of(*file.extents);
  if (end <= capacity) return {};
  const std::uint64_t least = round_up(end - capacity, block_bytes);
  std::uint64_t chunk = least;
  if (file.log) {
    chunk = std::max(chunk, least_log_chunk);
  } else if (capacity > 0) {
    chunk = std::max(chunk, std::min(capacity, most_chunk));
  }
  // Before the journal says what the table would refuse: a frame that is there cannot be taken
  // back.
  const std::size_t pieces = std::min(most_pieces, most_file_extents - file.extents->size());
  if (pieces == 0) {
    return fail(ErrorCode::no_space,
                "{}: a file is in {} pieces, which is as many as can be; once compact writes it "
                "anew",
                name(), file.extents->size());
  }
  MutexLock lock(mutex_);
  const std::uint64_t ahead = std::min(capacity, most_log_chunk);
  if (file.log && ahead > chunk && has_plenty(ahead)) chunk = ahead;
  auto taken = allocate(chunk, file, pieces);
  if (!taken && taken.error().code == ErrorCode::no_space) taken = allocate(least, file, pieces);
  if (!taken) return pass(taken);
  if (file.log) {
    for (const Extent& extent : *taken) device_->will_be_written(extent.offset, extent.length);
    if (auto filled = zero_fill(unwritten_); !filled) return filled;
  }
  Records records;
  Extents extents = *file.extents;
  for (const Extent& extent : *taken) {
    records.extend(file.id, extent);
    extents.push_back(extent);
  }
  if (file.removed) {
    file.extents = std::make_shared<const Extents>(std::move(extents));
    return {};
  }
  if (auto committed = commit(records, nullptr); !committed) {
    if (!poisoned_) {
      for (const Extent& extent : *taken) allocator_.release(extent, false);
    }
    return committed;
  }
  file.extents = table_.find(file.id)->extents;
  return {};
}

Result<void> Container::append(File& file, std::string_view bytes) {
  MutexLock lock(file.mutex);
  if (auto writable = check_writable(); !writable) return writable;
  while (!bytes.empty()) {
    const std::string_view piece = bytes.substr(0, most_envelope_payload);
    auto appended = file.log ? append_to_log(file, piece) : append_plain(file, piece);
    if (!appended) return appended;
    bytes.remove_prefix(piece.size());
  }
  return {};
}

// Adds zeros behind the envelope in file.scratch, up to where blocks are written whole: of a block
// of which a part is written the host would have to read first what an older file left in the rest.
// A log that is synced gets no more than it needs; for one that is not larger pieces are cheaper,
// and most of the zeros never reach the disk.
void Container::blank_ahead(File& file, std::uint64_t end) {
  if (end <= file.blank) return;
  const bool synced = file.size - file.durable < most_blank;
  file.blank = std::min(round_up(end, synced || file.note != 0 ? block_bytes : most_blank),
                        length_of(*file.extents));
  file.scratch.resize(file.blank - file.position, '\0');
  if (file.blank == file.note) file.blank += block_bytes;
}

// Says in a block that the envelopes up to `end` do not reach how far they were synced.
Result<void> Container::write_note(File& file, std::uint64_t end) {
  const std::uint64_t place = round_up(end, block_bytes);
  file.note = 0;
  // Only on a full disk: see make_log_room().
  if (place + block_bytes > length_of(*file.extents)) return {};
  Bytes note = sync_note(file.id, file.durable, seed_);
  if (place >= file.blank) note.resize(block_bytes, '\0');  // whole, as in blank_ahead()
  if (place == file.blank) file.blank += block_bytes;
  auto written = write_stream(*device_, *file.extents, place, note);
  if (!written) return std::unexpected(poison(std::move(written.error())));
  file.note = place;
  return {};
}

// For an envelope, and for a note behind it.
Result<void> Container::make_log_room(File& file, std::uint64_t end) {
  if (!file.wal) return make_room(file, end);
  auto room = make_room(file, round_up(end, block_bytes) + block_bytes);
  const bool full = !room && room.error().code == ErrorCode::no_space;
  return full ? make_room(file, end) : room;
}

Result<void> Container::append_to_log(File& file, std::string_view bytes) {
  const std::uint64_t end = file.position + envelope_bytes(bytes.size());
  if (auto room = make_log_room(file, end); !room) return room;
  if (file.note != 0 && end > file.note) {
    // The next note first: a process that ends in the middle of this leaves one of them.
    if (auto written = write_note(file, end); !written) return written;
  }
  file.scratch.clear();
  append_envelope(file.scratch,
                  {.file = file.id, .offset = file.size, .durable = file.durable, .payload = bytes},
                  seed_);
  blank_ahead(file, end);
  auto written = write_stream(*device_, *file.extents, file.position, file.scratch);
  if (!written) return std::unexpected(poison(std::move(written.error())));
  ++writes_;
  if (file.marks.empty() || file.position - file.marks.back().position >= log_mark_bytes) {
    file.marks.push_back({.offset = file.size, .position = file.position});
  }
  // The envelope says the same now, in other blocks than those that it says it of.
  const bool said_elsewhere = file.position / block_bytes > (file.durable_end - 1) / block_bytes;
  if (file.note != 0 && said_elsewhere) file.note = 0;
  file.position = end;
  if (end - file.started >= most_started) {
    // Nobody has synced for long, and whoever makes the next log is to wait for little.
    const std::uint64_t from = std::exchange(file.started, end / block_bytes * block_bytes);
    if (file.size - file.durable >= most_started) {
      start_stream(*device_, *file.extents, from, file.started - from);
    }
  }
  file.size += bytes.size();
  file.counted += bytes.size();
  log_bytes_ += bytes.size();
  // One large batch is no reason to keep as much memory for ever.
  if (file.scratch.capacity() > most_log_chunk) file.scratch = Bytes();
  return {};
}

Result<void> Container::append_plain(File& file, std::string_view bytes) {
  if (auto room = make_room(file, file.size + bytes.size()); !room) return room;
  auto written = write_stream(*device_, *file.extents, file.size, bytes);
  if (!written) return std::unexpected(poison(std::move(written.error())));
  ++writes_;
  if (file.digest) {
    file.digest->add(bytes);
    // Not by way of all of them: the string would keep the room for as long as the file lives.
    if (bytes.size() >= tail_bytes) {
      file.tail.assign(bytes.substr(bytes.size() - tail_bytes));
    } else {
      file.tail += bytes;
      if (file.tail.size() > tail_bytes) file.tail.erase(0, file.tail.size() - tail_bytes);
    }
  }
  file.size += bytes.size();
  return {};
}

Result<void> Container::overwrite(File& file, std::uint64_t offset, std::string_view bytes) {
  MutexLock lock(file.mutex);
  if (auto writable = check_writable(); !writable) return writable;
  if (file.log || offset > file.size || bytes.size() > file.size - offset) {
    return fail(ErrorCode::unsupported, "only what is in a file can be overwritten, and no log");
  }
  if (file.sealed.size > 0 && file.sealed.digest != 0) {
    // What the journal says of its bytes will not be true for a while.
    if (auto recorded = record_size(file, {.size = file.sealed.size}); !recorded) return recorded;
    if (auto synced = sync_device(); !synced) return synced;
  }
  file.digest.reset();
  file.tail.clear();
  auto written = write_stream(*device_, *file.extents, offset, bytes);
  if (!written) return std::unexpected(poison(std::move(written.error())));
  ++writes_;
  return {};
}

Result<void> Container::truncate(File& file, std::uint64_t size) {
  MutexLock lock(file.mutex);
  if (auto writable = check_writable(); !writable) return writable;
  if (size == file.size) return {};
  if (file.log || size > file.size) {
    return fail(ErrorCode::unsupported, "a file can only be made shorter, and a log not at all");
  }
  const bool vouched_for = file.sealed.size > size;
  if (vouched_for) {
    // What comes after is not what the journal's digest was of.
    auto seal = read_seal(file.extents, size);
    if (!seal) return pass(seal);
    if (auto recorded = record_size(file, *seal); !recorded) return recorded;
  }
  file.size = size;
  file.digest.reset();
  file.tail.clear();
  // What comes after may reach the disk before the record does.
  return vouched_for ? sync_device() : Result<void>();
}

std::uint64_t Container::size(File& file) {
  MutexLock lock(file.mutex);
  return file.size;
}

Result<Seal> Container::read_seal(const SharedExtents& extents, std::uint64_t size) {
  Digest digest(seed_);
  std::string tail;
  std::string piece;
  for (std::uint64_t at = 0; at < size; at += piece.size()) {
    piece.resize(std::min<std::uint64_t>(copy_bytes, size - at));
    if (auto read = read_stream(*device_, *extents, at, piece.size(), piece.data()); !read) {
      return pass(read);
    }
    digest.add(piece);
    tail += piece;
    if (tail.size() > tail_bytes) tail.erase(0, tail.size() - tail_bytes);
  }
  return Seal{.size = size, .digest = digest.value(), .tail_digest = digest_of(tail, seed_)};
}

Result<Seal> Container::seal_of(File& file) {
  if (!file.digest) return read_seal(file.extents, file.size);
  return Seal{.size = file.size,
              .digest = file.digest->value(),
              .tail_digest = digest_of(file.tail, seed_)};
}

Result<void> Container::record_size(File& file, const Seal& seal) {
  if (file.removed) return {};
  MutexLock lock(mutex_);
  const Entry* entry = table_.find(file.id);
  if (entry == nullptr || entry->seal == seal) return {};
  auto committed = commit(Records().size(file.id, seal, time_ms()), nullptr);
  if (committed) file.sealed = seal;
  return committed;
}

bool Container::set_durable(File& file, const LogMark& end) {
  if (end.offset <= file.durable) return false;
  file.durable = end.offset;
  file.durable_end = end.position;
  return true;
}

Result<void> Container::sync(File& file) {
  if (file.log) {
    LogMark end;
    {
      MutexLock lock(file.mutex);
      end = {.offset = file.size, .position = file.position};
    }
    if (auto synced = sync_device(); !synced) return synced;
    MutexLock lock(file.mutex);
    const bool more = set_durable(file, end);
    if (file.wal) return more ? write_note(file, file.position) : Result<void>();
    // RocksDB removes tables and logs on the strength of what is in a MANIFEST now. Those removals
    // come behind this frame, so that where they count it is damage if the MANIFEST ends before. A
    // journal that finds no room for it finds none for them either.
    auto recorded = record_size(file, {.size = file.durable});
    const bool full = !recorded && recorded.error().code == ErrorCode::no_space;
    return full ? Result<void>() : recorded;
  }
  Seal seal;
  {
    MutexLock lock(file.mutex);
    if (auto writable = check_writable(); !writable) return writable;
    auto made = seal_of(file);
    if (!made) return pass(made);
    seal = *made;
  }
  // First the bytes, then what says that they are there.
  if (auto synced = sync_device(); !synced) return synced;
  {
    MutexLock lock(file.mutex);
    if (auto recorded = record_size(file, seal); !recorded) return recorded;
  }
  return sync_device();
}

Result<void> Container::trim(File& file) {
  const std::uint64_t used = round_up(file.log ? file.position : file.size, block_bytes);
  if (length_of(*file.extents) <= used || file.removed) return {};
  if (file.log) {
    // Its note is cut off.
    if (auto recorded = record_size(file, {.size = file.durable}); !recorded) return recorded;
  }
  Extents kept;
  Freed cut;
  std::uint64_t left = used;
  for (const Extent& extent : *file.extents) {
    const std::uint64_t keep = std::min(left, extent.length);
    if (keep > 0) kept.push_back({.offset = extent.offset, .length = keep});
    if (keep < extent.length) {
      cut.extents.push_back({.offset = extent.offset + keep, .length = extent.length - keep});
    }
    left -= keep;
  }
  MutexLock lock(mutex_);
  const Entry* entry = table_.find(file.id);
  // Bytes that the journal vouches for are not cut off here.
  if (entry == nullptr || (!file.log && entry->seal.size > used)) return {};
  cut.held = file.extents;
  if (auto committed = commit(Records().extents(file.id, kept), nullptr); !committed) {
    return committed;
  }
  file.extents = table_.find(file.id)->extents;
  free_later(std::move(cut));
  return {};
}

Result<void> Container::finish(File& file) {
  MutexLock lock(file.mutex);
  if (auto writable = check_writable(); !writable) return writable;
  return trim(file);
}

Result<void> Container::check_seal(File& file) {
  const bool known = file.sealed.digest != 0 || file.sealed.tail_digest != 0;
  if (file.log || file.checked || !known || options_.salvage) return {};
  if (file.size != file.sealed.size) return {};
  if (file.size <= small_file) {
    auto seal = read_seal(file.extents, file.size);
    if (!seal) return pass(seal);
    file.checked = *seal == file.sealed;
  } else {
    std::string tail(tail_bytes, '\0');
    const std::uint64_t from = file.size - tail.size();
    if (auto read = read_stream(*device_, *file.extents, from, tail.size(), tail.data()); !read) {
      return read;
    }
    file.checked = digest_of(tail, seed_) == file.sealed.tail_digest;
  }
  if (file.checked) return {};
  return fail(ErrorCode::damaged, "byte {}: the file is not what was written",
              place_in(*file.extents, file.size <= small_file ? 0 : file.size - tail_bytes));
}

Result<std::size_t> Container::read(File& file, std::uint64_t offset, std::size_t length,
                                    char* buffer) {
  SharedExtents extents;
  LogMark mark;
  {
    MutexLock lock(file.mutex);
    if (offset >= file.size) return 0;
    length = std::min<std::uint64_t>(length, file.size - offset);
    extents = file.extents;
    const auto after = std::ranges::upper_bound(file.marks, offset, {}, &LogMark::offset);
    if (after != file.marks.begin()) mark = *std::prev(after);
  }
  if (file.log) return read_log(extents, file, mark, offset, length, buffer);
  if (auto read = read_stream(*device_, *extents, offset, length, buffer); !read) return pass(read);
  return length;
}

Result<std::size_t> Container::read_log(const SharedExtents& extents, const File& file,
                                        LogMark mark, std::uint64_t offset, std::size_t length,
                                        char* buffer) {
  EnvelopeReader reader(*device_, {.file = file.id, .seed = seed_, .extents = extents.get()}, mark);
  std::size_t done = 0;
  while (done < length) {
    const LogMark at = reader.at();
    auto envelope = reader.next();
    if (!envelope) return pass(envelope);
    if (!*envelope) {
      return fail(ErrorCode::damaged, "{}: byte {}: what was written to a log is no longer there",
                  name(), place_in(*extents, at.position));
    }
    const std::string_view payload = (*envelope)->payload;
    const std::uint64_t wanted = offset + done;
    if (wanted >= at.offset + payload.size()) continue;
    const std::string_view piece = payload.substr(wanted - at.offset, length - done);
    std::ranges::copy(piece, buffer + done);
    done += piece.size();
  }
  return done;
}

}  // namespace once::container
