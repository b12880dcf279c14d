// Names of files and directories in a container.
#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/file_name.h"
#include "container/container.h"

namespace once::container {
namespace {

bool is_log(std::string_view path) {
  return is_wal(path) || file_name_of(path).starts_with("MANIFEST-");
}

std::unexpected<Error> missing(const std::string& path) {
  return fail(ErrorCode::not_found, "there is no {} in the container", path);
}

std::unexpected<Error> cannot(const char* what, const std::string& path, const char* why) {
  return fail(ErrorCode::invalid_argument, "cannot {} {}: {}", what, path, why);
}

}  // namespace

void Container::drop(FileTable::Gone& gone) {
  for (Entry& entry : gone.files) {
    entry.file->removed = true;
    log_bytes_ -= entry.file->counted.exchange(0);
    free_later({.file = std::move(entry.file), .extents = *entry.extents});
  }
  note_space();
}

Result<std::vector<Container::LogEnd>> Container::finish_other_logs(const std::string& path) {
  std::vector<LogEnd> others;
  {
    MutexLock lock(mutex_);
    for (const auto& [name, id] : table_.names()) {
      const std::shared_ptr<File>& file = table_.find(id)->file;  // by what it was made as
      if (file->wal && name != path) others.push_back({.file = file});
    }
  }
  bool behind = false;
  for (LogEnd& other : others) {
    MutexLock lock(other.file->mutex);
    other.end = {.offset = other.file->size, .position = other.file->position};
    behind = behind || other.end.offset > other.file->durable;
  }
  // So that what a crash leaves is a prefix across logs, too.
  if (behind) {
    if (auto synced = sync_device(); !synced) return pass(synced);
  }
  for (const LogEnd& other : others) {
    MutexLock lock(other.file->mutex);
    if (!set_durable(*other.file, other.end)) continue;
    // The journal will say so, too; but not if the new log does not come about.
    auto noted = write_note(*other.file, other.file->position);
    if (!noted) return pass(noted);
  }
  return others;
}

Result<std::shared_ptr<File>> Container::create(const std::string& path) {
  const std::string normal = normal_path(path);
  if (auto writable = check_writable(); !writable) return pass(writable);
  std::vector<LogEnd> others;
  if (is_wal(normal)) {
    auto finished = finish_other_logs(normal);
    if (!finished) return pass(finished);
    others = std::move(*finished);
  }
  MutexLock lock(mutex_);
  if (normal.size() < 2) return cannot("make", path, "that is no name for a file");
  if (!table_.is_directory(std::string(parent_of(normal)))) {
    return missing(std::string(parent_of(normal)));
  }
  if (table_.is_directory(normal)) return cannot("make", path, "it is a directory");
  auto id = new_id();
  if (!id) return pass(id);
  auto file = std::make_shared<File>(*id, is_log(normal), is_wal(normal));
  if (!file->log) {
    MutexLock file_lock(file->mutex);
    file->digest.emplace(seed_);
  }
  Records records;
  for (const LogEnd& other : others) {
    // It may have been removed meanwhile.
    const Entry* entry = table_.find(other.file->id);
    if (entry == nullptr || entry->seal.size >= other.end.offset) continue;
    records.size(other.file->id, {.size = other.end.offset}, time_ms());
  }
  records.create(*id, file->log, time_ms(), normal);
  FileTable::Gone gone;
  if (auto committed = commit(records, &gone); !committed) return pass(committed);
  table_.find(*id)->file = file;
  drop(gone);
  return file;
}

Result<std::shared_ptr<File>> Container::open_file(const std::string& path) {
  std::shared_ptr<File> file;
  {
    MutexLock lock(mutex_);
    const Entry* entry = table_.find(normal_path(path));
    if (entry == nullptr) return std::shared_ptr<File>();
    file = entry->file;
  }
  MutexLock lock(file->mutex);
  if (auto checked = check_seal(*file); !checked) {
    if (checked.error().code != ErrorCode::damaged) return pass(checked);
    return fail(ErrorCode::damaged, "{}: {}, {}", name(), path, checked.error().message);
  }
  return file;
}

Container::What Container::what_is(const std::string& path) {
  const std::string normal = normal_path(path);
  MutexLock lock(mutex_);
  if (normal.empty()) return What::none;
  if (table_.is_directory(normal)) return What::directory;
  return table_.find(normal) != nullptr ? What::file : What::none;
}

std::optional<std::vector<std::string>> Container::children(const std::string& path) {
  const std::string normal = normal_path(path);
  MutexLock lock(mutex_);
  if (!table_.is_directory(normal)) return std::nullopt;
  return table_.children(normal);
}

Result<void> Container::remove(const std::string& path) {
  const std::string normal = normal_path(path);
  MutexLock lock(mutex_);
  if (table_.is_directory(normal)) return cannot("remove", path, "it is a directory");
  if (table_.find(normal) == nullptr) return missing(path);
  FileTable::Gone gone;
  if (auto committed = commit(Records().remove(normal), &gone); !committed) return committed;
  drop(gone);
  return {};
}

Result<void> Container::make_directory(const std::string& path) {
  const std::string normal = normal_path(path);
  MutexLock lock(mutex_);
  if (normal.empty()) return cannot("make", path, "that is no name for a directory");
  if (table_.is_directory(normal) || table_.find(normal) != nullptr) {
    return fail(ErrorCode::conflict, "{} is there already", path);
  }
  if (!table_.is_directory(std::string(parent_of(normal)))) {
    return missing(std::string(parent_of(normal)));
  }
  return commit(Records().make_directory(normal), nullptr);
}

Result<void> Container::remove_directory(const std::string& path) {
  const std::string normal = normal_path(path);
  MutexLock lock(mutex_);
  if (table_.find(normal) != nullptr) return cannot("remove", path, "it is no directory");
  if (!table_.is_directory(normal)) return missing(path);
  if (normal == "/" || !table_.children(normal).empty()) {
    return cannot("remove", path, "it is not empty");
  }
  return commit(Records().remove_directory(normal), nullptr);
}

Result<void> Container::rename(const std::string& from, const std::string& to) {
  const std::string source = normal_path(from);
  const std::string target = normal_path(to);
  MutexLock lock(mutex_);
  const bool is_file = table_.find(source) != nullptr;
  if (!is_file && !table_.is_directory(source)) return missing(from);
  if (target.size() < 2) return cannot("rename to", to, "that is no name");
  if (!table_.is_directory(std::string(parent_of(target)))) {
    return missing(std::string(parent_of(target)));
  }
  if (source == target) return {};
  if (is_file && table_.is_directory(target)) return cannot("rename to", to, "it is a directory");
  if (!is_file) {
    const bool inside = target.starts_with(source + "/");
    if (source == "/" || inside) return cannot("rename", from, "it would be inside of itself");
    if (table_.find(target) != nullptr) return cannot("rename to", to, "it is a file");
    if (!table_.children(target).empty()) return cannot("rename to", to, "it is not empty");
  }
  FileTable::Gone gone;
  if (auto committed = commit(Records().rename(source, target), &gone); !committed) {
    return committed;
  }
  drop(gone);
  return {};
}

Result<void> Container::link(const std::string& existing, const std::string& added) {
  const std::string source = normal_path(existing);
  const std::string target = normal_path(added);
  MutexLock lock(mutex_);
  if (table_.is_directory(source)) return cannot("link", existing, "it is a directory");
  if (table_.find(source) == nullptr) return missing(existing);
  if (target.size() < 2 || !table_.is_directory(std::string(parent_of(target)))) {
    return missing(std::string(parent_of(target)));
  }
  if (table_.find(target) != nullptr || table_.is_directory(target)) {
    return fail(ErrorCode::conflict, "{} is there already", added);
  }
  return commit(Records().link(source, target), nullptr);
}

std::uint32_t Container::links(const std::string& path) {
  MutexLock lock(mutex_);
  const Entry* entry = table_.find(normal_path(path));
  return entry == nullptr ? 0 : entry->links;
}

std::int64_t Container::modified_ms(const std::string& path) {
  MutexLock lock(mutex_);
  const Entry* entry = table_.find(normal_path(path));
  return entry == nullptr ? 0 : entry->modified_ms;
}

Result<void> Container::sync_names() {
  return sync_device();
}

}  // namespace once::container
