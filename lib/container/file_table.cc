#include "container/file_table.h"

#include <algorithm>
#include <utility>

#include "base/coding.h"
#include "base/error.h"

namespace once::container {
namespace {

enum class Kind : std::uint8_t {
  make_directory = 1,
  remove_directory = 2,
  create = 3,
  remove = 4,
  rename = 5,
  extend = 6,
  size = 7,
  extents = 8,
  link = 9,
};

constexpr std::size_t most_path_bytes = 4096;

void put_kind(Writer& writer, Kind kind) {
  writer.u8(static_cast<std::uint8_t>(kind));
}

std::unexpected<Error> impossible(const char* what, std::string_view path) {
  return fail(ErrorCode::damaged, "it says to {} {}, which cannot be", what, path);
}
std::unexpected<Error> impossible(const char* what, std::uint64_t id) {
  return fail(ErrorCode::damaged, "it says to {} file {}, which cannot be", what, id);
}

// No disk is as large; so sums of lengths stay within 64 bits.
constexpr std::uint64_t most_bytes = std::uint64_t{1} << 50;

bool possible(const Extents& extents) {
  return extents.size() <= most_file_extents &&
         std::ranges::all_of(extents, [](const Extent& extent) {
           return extent.offset % block_bytes == 0 && extent.length % block_bytes == 0 &&
                  extent.offset < most_bytes && extent.length < most_bytes;
         });
}

bool is_below(std::string_view path, std::string_view directory) {
  return path.size() > directory.size() && path.starts_with(directory) &&
         (directory == "/" || path[directory.size()] == '/');
}

}  // namespace

class RecordReader : public Reader {
 public:
  using Reader::Reader;
  std::string path() { return std::string(string()); }
};

std::string normal_path(std::string_view path) {
  std::string normal;
  while (!path.empty()) {
    const std::size_t end = std::min(path.find('/'), path.size());
    const std::string_view part = path.substr(0, end);
    path.remove_prefix(std::min(end + 1, path.size()));
    if (part.empty() || part == ".") continue;
    if (part == ".." || part.find('\0') != std::string_view::npos) return {};
    normal += '/';
    normal += part;
  }
  if (normal.size() > most_path_bytes) return {};
  return normal.empty() ? "/" : normal;
}

std::string_view parent_of(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  return slash == 0 || slash == std::string_view::npos ? "/" : path.substr(0, slash);
}

Records& Records::make_directory(std::string_view path) {
  Writer writer(bytes_);
  put_kind(writer, Kind::make_directory);
  writer.string(path);
  return *this;
}

Records& Records::remove_directory(std::string_view path) {
  Writer writer(bytes_);
  put_kind(writer, Kind::remove_directory);
  writer.string(path);
  return *this;
}

Records& Records::create(std::uint64_t id, bool log, std::int64_t time_ms, std::string_view path) {
  Writer writer(bytes_);
  put_kind(writer, Kind::create);
  writer.u64(id);
  writer.u8(log ? 1 : 0);
  writer.i64(time_ms);
  writer.string(path);
  return *this;
}

Records& Records::remove(std::string_view path) {
  Writer writer(bytes_);
  put_kind(writer, Kind::remove);
  writer.string(path);
  return *this;
}

Records& Records::rename(std::string_view from, std::string_view to) {
  Writer writer(bytes_);
  put_kind(writer, Kind::rename);
  writer.string(from);
  writer.string(to);
  return *this;
}

Records& Records::extend(std::uint64_t id, const Extent& extent) {
  Writer writer(bytes_);
  put_kind(writer, Kind::extend);
  writer.u64(id);
  writer.u64(extent.offset);
  writer.u64(extent.length);
  return *this;
}

Records& Records::size(std::uint64_t id, const Seal& seal, std::int64_t time_ms) {
  Writer writer(bytes_);
  put_kind(writer, Kind::size);
  writer.u64(id);
  writer.u64(seal.size);
  writer.u64(seal.digest);
  writer.u64(seal.tail_digest);
  writer.i64(time_ms);
  return *this;
}

Records& Records::extents(std::uint64_t id, const Extents& extents) {
  Writer writer(bytes_);
  put_kind(writer, Kind::extents);
  writer.u64(id);
  writer.u32(static_cast<std::uint32_t>(extents.size()));
  for (const Extent& extent : extents) {
    writer.u64(extent.offset);
    writer.u64(extent.length);
  }
  return *this;
}

Records& Records::link(std::string_view existing, std::string_view added) {
  Writer writer(bytes_);
  put_kind(writer, Kind::link);
  writer.string(existing);
  writer.string(added);
  return *this;
}

Result<void> FileTable::apply(std::string_view records, Gone* gone) {
  RecordReader reader(records);
  while (reader.left() > 0) {
    if (auto applied = apply_one(reader, gone, nullptr); !applied) return applied;
    if (!reader.ok()) return fail(ErrorCode::damaged, "a record is cut short");
  }
  return {};
}

void FileTable::apply_what_can_be(std::string_view records, Leniency& met) {
  RecordReader reader(records);
  while (reader.left() > 0) {
    if (!apply_one(reader, nullptr, &met)) ++met.skipped;
    if (!reader.ok()) met.stopped = true;
    if (met.stopped) return;
  }
}

void FileTable::make_directories(const std::string& path) {
  if (path.size() < 2 || normal_path(path) != path) return;
  std::string above = path;
  while (!is_directory(above) && !names_.contains(above)) above = std::string(parent_of(above));
  if (names_.contains(above)) return;
  for (std::string at = path; at != above; at = std::string(parent_of(at))) directories_.insert(at);
}

Entry* FileTable::find_or_keep(std::uint64_t id, Leniency* met) {
  Entry* entry = find(id);
  if (entry != nullptr || met == nullptr || id == 0) return entry;
  ++met->skipped;
  directories_.insert(std::string(nameless_directory));
  names_[fmt::format("{}/{}", nameless_directory, id)] = id;
  entry = &entries_[id];
  entry->id = id;
  entry->links = 1;
  return entry;
}

void FileTable::forget(const std::set<std::uint64_t>& ids) {
  std::erase_if(names_, [&](const auto& name) { return ids.contains(name.second); });
  std::erase_if(entries_, [&](const auto& entry) { return ids.contains(entry.first); });
}

bool FileTable::can_hold(const std::string& path) const {
  return path.size() > 1 && normal_path(path) == path && is_directory(std::string(parent_of(path)));
}

void FileTable::unlink(std::map<std::string, std::uint64_t>::iterator at, Gone* gone) {
  const auto entry = entries_.find(at->second);
  names_.erase(at);
  if (--entry->second.links > 0) return;
  if (gone != nullptr) gone->files.push_back(std::move(entry->second));
  entries_.erase(entry);
}

Result<void> FileTable::rename(const std::string& from, const std::string& to, Gone* gone) {
  const auto file = names_.find(from);
  if (file != names_.end()) {
    if (!can_hold(to) || is_directory(to)) return impossible("rename a file to", to);
    if (from == to) return {};
    const std::uint64_t id = file->second;
    if (const auto replaced = names_.find(to); replaced != names_.end()) {
      // Two names of one file: POSIX leaves both, RocksDB never asks.
      if (replaced->second == id) return {};
      unlink(replaced, gone);
    }
    names_.erase(from);
    names_[to] = id;
    return {};
  }
  if (from == "/" || !is_directory(from)) return impossible("rename", from);
  if (from == to) return {};
  if (!can_hold(to) || names_.contains(to) || is_below(to, from) || !children(to).empty()) {
    return impossible("rename a directory to", to);
  }
  const auto moved = [&](const std::string& path) { return to + path.substr(from.size()); };
  std::vector<std::string> directories;
  for (const std::string& path : directories_) {
    if (path == from || is_below(path, from)) directories.push_back(path);
  }
  for (const std::string& path : directories) {
    directories_.erase(path);
    directories_.insert(moved(path));
  }
  std::vector<std::pair<std::string, std::uint64_t>> files;
  for (const auto& [path, id] : names_) {
    if (is_below(path, from)) files.emplace_back(path, id);
  }
  for (const auto& [path, id] : files) {
    names_.erase(path);
    names_[moved(path)] = id;
  }
  return {};
}

Result<void> FileTable::apply_one(RecordReader& record, Gone* gone, Leniency* met) {
  switch (static_cast<Kind>(record.u8())) {
    case Kind::make_directory: {
      const std::string path = record.path();
      if (!record.ok()) return {};
      if (!can_hold(path) || names_.contains(path) || is_directory(path)) {
        return impossible("make the directory", path);
      }
      directories_.insert(path);
      return {};
    }
    case Kind::remove_directory: {
      const std::string path = record.path();
      if (!record.ok()) return {};
      if (path == "/" || !is_directory(path) || !children(path).empty()) {
        return impossible("remove the directory", path);
      }
      directories_.erase(path);
      return {};
    }
    case Kind::create: {
      Entry entry;
      entry.id = record.u64();
      const std::uint8_t log = record.u8();
      entry.modified_ms = record.i64();
      const std::string path = record.path();
      if (!record.ok()) return {};
      entry.log = log == 1;
      entry.links = 1;
      if (met != nullptr) {
        met->created.push_back(entry.id);
        make_directories(std::string(parent_of(path)));
      }
      if (log > 1 || entry.id == 0 || entries_.contains(entry.id) || !can_hold(path) ||
          is_directory(path)) {
        return impossible("make", path);
      }
      if (const auto at = names_.find(path); at != names_.end()) unlink(at, gone);
      names_[path] = entry.id;
      entries_[entry.id] = std::move(entry);
      return {};
    }
    case Kind::remove: {
      const std::string path = record.path();
      if (!record.ok()) return {};
      const auto at = names_.find(path);
      if (at == names_.end()) {
        if (met != nullptr) met->not_there.push_back(path);
        return impossible("remove", path);
      }
      unlink(at, gone);
      return {};
    }
    case Kind::rename: {
      const std::string from = record.path();
      const std::string to = record.path();
      if (!record.ok()) return {};
      auto renamed = rename(from, to, gone);
      const auto replaced = names_.find(to);
      if (!renamed && met != nullptr && from != to && replaced != names_.end()) {
        unlink(replaced, gone);
      }
      return renamed;
    }
    case Kind::extend: {
      const std::uint64_t id = record.u64();
      Extent extent;
      extent.offset = record.u64();
      extent.length = record.u64();
      if (!record.ok()) return {};
      Entry* entry = find_or_keep(id, met);
      if (entry == nullptr) return impossible("extend", id);
      Extents extents = *entry->extents;
      if (!extents.empty() && extents.back().end() == extent.offset) {
        extents.back().length += extent.length;
      } else {
        extents.push_back(extent);
      }
      if (!possible(extents)) return impossible("extend", id);
      entry->extents = std::make_shared<const Extents>(std::move(extents));
      return {};
    }
    case Kind::size: {
      const std::uint64_t id = record.u64();
      Seal seal;
      seal.size = record.u64();
      seal.digest = record.u64();
      seal.tail_digest = record.u64();
      const std::int64_t time = record.i64();
      if (!record.ok()) return {};
      Entry* entry = find_or_keep(id, met);
      // What a log lacks is told when it is read.
      const bool may_lack = met != nullptr && entry != nullptr && entry->log;
      if (entry == nullptr || (seal.size > length_of(*entry->extents) && !may_lack)) {
        return impossible("give a size to", id);
      }
      entry->seal = seal;
      entry->modified_ms = time;
      return {};
    }
    case Kind::extents: {
      const std::uint64_t id = record.u64();
      const std::uint32_t count = record.u32();
      if (!record.ok() || count > record.left() / 16) {
        if (met != nullptr) met->stopped = true;
        return fail(ErrorCode::damaged, "a record is cut short");
      }
      Extents extents(count);
      for (Extent& extent : extents) {
        extent.offset = record.u64();
        extent.length = record.u64();
      }
      Entry* entry = find_or_keep(id, met);
      if (entry == nullptr || !possible(extents)) return impossible("move", id);
      if (gone != nullptr) gone->extents.push_back(entry->extents);
      entry->extents = std::make_shared<const Extents>(std::move(extents));
      if (entry->seal.size > length_of(*entry->extents)) {
        if (!entry->log) entry->seal = {};
        return impossible("shorten", id);
      }
      return {};
    }
    case Kind::link: {
      const std::string existing = record.path();
      const std::string added = record.path();
      if (!record.ok()) return {};
      const auto at = names_.find(existing);
      if (at == names_.end() || !can_hold(added) || is_directory(added) || names_.contains(added)) {
        return impossible("link", added);
      }
      const std::uint64_t id = at->second;
      names_[added] = id;
      ++entries_[id].links;
      return {};
    }
  }
  if (met != nullptr) met->stopped = true;
  return fail(ErrorCode::damaged, "a record is of no known kind");
}

Bytes FileTable::snapshot() const {
  Records records;
  // In order, so that parents come first.
  for (const std::string& path : directories_) {
    if (path != "/") records.make_directory(path);
  }
  std::map<std::uint64_t, std::string> first_names;
  for (const auto& [path, id] : names_) {
    const auto [at, added] = first_names.try_emplace(id, path);
    if (!added) {
      records.link(at->second, path);
      continue;
    }
    const Entry& entry = entries_.at(id);
    records.create(id, entry.log, entry.modified_ms, path);
    records.extents(id, *entry.extents);
    records.size(id, entry.seal, entry.modified_ms);
  }
  return records.bytes();
}

Entry* FileTable::find(const std::string& path) {
  const auto at = names_.find(path);
  return at == names_.end() ? nullptr : find(at->second);
}

Entry* FileTable::find(std::uint64_t id) {
  const auto at = entries_.find(id);
  return at == entries_.end() ? nullptr : &at->second;
}

bool FileTable::is_directory(const std::string& path) const {
  return directories_.contains(path);
}

std::vector<std::string> FileTable::children(const std::string& path) const {
  std::vector<std::string> found;
  const std::string prefix = path == "/" ? path : path + "/";
  const auto add = [&](const std::string& name) {
    if (name.size() > prefix.size() && name.find('/', prefix.size()) == std::string::npos) {
      found.push_back(name.substr(prefix.size()));
    }
  };
  for (auto at = names_.lower_bound(prefix); at != names_.end() && at->first.starts_with(prefix);
       ++at) {
    add(at->first);
  }
  for (auto at = directories_.lower_bound(prefix);
       at != directories_.end() && at->starts_with(prefix); ++at) {
    add(*at);
  }
  return found;
}

std::string FileTable::name_of(std::uint64_t id) const {
  for (const auto& [path, named] : names_) {
    if (named == id) return path;
  }
  return fmt::format("file {}", id);
}

}  // namespace once::container
