#include "container/file_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace once::testing {

using Kind = Op::Kind;
using Code = Answer::Code;

namespace {

Answer ok(std::string value = "") {
  return {.code = Code::ok, .value = std::move(value)};
}
Answer refused(Code code) {
  return {.code = code};
}

std::string parent_of(const std::string& path) {
  return path.substr(0, path.rfind('/'));
}

bool is_below(const std::string& path, const std::string& directory) {
  return path.starts_with(directory + "/");
}

}  // namespace

FileModel::FileModel() : history_{std::make_shared<const Names>()} {}

FileModel FileModel::of(const Tree& tree) {
  FileModel model;
  Names names;
  for (const auto& [path, bytes] : tree) {
    names[path] = directory;
    if (!bytes) continue;
    names[path] = model.next_file_++;
    model.files_[names[path]] = std::make_shared<const File>(
        File{.log = is_log_name(path),
             .now = {.bytes = *bytes, .synced = bytes->size(), .ends = {bytes->size()}}});
  }
  model.history_ = {std::make_shared<const Names>(std::move(names))};
  return model;
}

void FileModel::set_names(Names names) {
  history_.push_back(std::make_shared<const Names>(std::move(names)));
}

bool FileModel::is_directory(const std::string& path) const {
  if (path.empty() || path == "/") return true;
  const auto at = names().find(path);
  return at != names().end() && at->second == directory;
}

int FileModel::file_at(const std::string& path) const {
  const auto at = names().find(path);
  return at == names().end() ? directory : at->second;
}

bool FileModel::is_open(int file) const {
  return std::ranges::any_of(slots_, [&](const Slot& slot) { return slot.file == file; });
}

int FileModel::links(const std::string& path) const {
  const int file = file_at(path);
  if (file == directory) return 0;
  return static_cast<int>(
      std::ranges::count_if(names(), [&](const auto& name) { return name.second == file; }));
}

std::size_t FileModel::synced_bytes(const std::string& path) const {
  const int file = file_at(path);
  return file == directory ? 0 : files_.at(file)->now.synced;
}

bool FileModel::is_log(const std::string& path) const {
  const int file = file_at(path);
  return file != directory && files_.at(file)->log;
}

bool FileModel::is_laid_down(const Op& op) const {
  const Slot& slot = slots_[op.slot % program_slots];
  const auto is_elsewhere = [&](const std::string& path) {
    const int file = file_at(path);
    return file != directory && is_open(file) && slot.file != file;
  };
  switch (op.kind) {
    case Kind::create:
    case Kind::reopen:
      return !is_elsewhere(op.path);
    case Kind::reuse:
      return !is_elsewhere(op.path) && !is_elsewhere(op.to) && op.path != op.to;
    case Kind::cut:
      return slot.file != directory && slot.reopened && !files_.at(slot.file)->log &&
             op.length <= files_.at(slot.file)->now.bytes.size();
    // RocksDB never makes a log of a table by renaming it, or the other way around.
    case Kind::rename:
    case Kind::link:
      return file_at(op.path) == directory || is_log(op.path) == is_log_name(op.to);
    // Directories have sizes and bytes in some file systems and not in others.
    case Kind::size:
    case Kind::read:
    case Kind::read_at:
    case Kind::sync_directory:
      return !is_directory(op.path) == (op.kind != Kind::sync_directory);
    default:
      return true;
  }
}

Answer FileModel::run(const Op& op) {
  if (op.kind <= Kind::cut) return run_writing(op, slots_[op.slot % program_slots]);
  if (op.kind <= Kind::sync_directory) return run_naming(op);
  if (op.kind <= Kind::is_directory) return run_looking(op);
  if (op.kind == Kind::restart) {
    slots_ = {};
    history_ = {history_.back()};
    for (const auto& [path, file] : names()) {
      if (file == directory) continue;
      auto synced = std::make_shared<File>(*files_.at(file));
      synced->now.synced = synced->now.bytes.size();
      synced->before.clear();
      files_[file] = std::move(synced);
    }
  }
  return ok();
}

void FileModel::fail(const Op& op) {
  if (op.kind == Kind::append) ++serial_;
  if (op.kind <= Kind::reuse || op.kind == Kind::close) slots_[op.slot % program_slots] = {};
  if (op.kind == Kind::restart) slots_ = {};
}

int FileModel::make_file(const std::string& path) {
  const int file = next_file_++;
  auto made = std::make_shared<File>();
  made->log = is_log_name(path);
  made->write_ahead = path.ends_with(".log");
  if (made->write_ahead) {
    for (const auto& [name, other] : names()) {
      if (name == path || other == directory || !files_.at(other)->write_ahead) continue;
      made->after[other] = files_.at(other)->now.bytes.size();
    }
  }
  files_[file] = std::move(made);
  Names changed = names();
  changed[path] = file;
  set_names(std::move(changed));
  return file;
}

void FileModel::append(int file, std::size_t length) {
  if (length == 0) return;
  auto changed = std::make_shared<File>(*files_.at(file));
  changed->now.bytes += bytes_of(serial_, length);
  changed->now.ends.push_back(changed->now.bytes.size());
  files_[file] = std::move(changed);
}

Answer FileModel::run_writing(const Op& op, Slot& slot) {
  if (op.kind <= Kind::reuse) {
    slot = {};
    if (is_directory(op.path)) return refused(Code::other);
    if (op.kind == Kind::reuse) {
      const Answer removed = run_naming({.kind = Kind::remove, .path = op.to});
      if (!removed.ok()) return removed;
    }
    if (!is_directory(parent_of(op.path))) return refused(Code::path_not_found);
    // Behind the end of a log may lie what was torn off.
    if (op.kind == Kind::reopen && is_log(op.path)) return refused(Code::other);
    slot.reopened = op.kind == Kind::reopen;
    slot.file = slot.reopened ? file_at(op.path) : directory;
    if (slot.file == directory) slot.file = make_file(op.path);
    return ok();
  }
  if (op.kind == Kind::append) ++serial_;
  if (slot.file == directory) return refused(Code::other);
  switch (op.kind) {
    case Kind::append:
      append(slot.file, static_cast<std::size_t>(op.length));
      break;
    case Kind::sync: {
      auto changed = std::make_shared<File>(*files_.at(slot.file));
      changed->now.synced = changed->now.bytes.size();
      changed->before.clear();
      files_[slot.file] = std::move(changed);
      break;
    }
    case Kind::close:
    case Kind::drop:
      slot = {};
      break;
    case Kind::cut: {
      auto changed = std::make_shared<File>(*files_.at(slot.file));
      changed->before.push_back(changed->now);
      const auto length = static_cast<std::size_t>(op.length);
      changed->now.bytes.resize(std::min(length, changed->now.bytes.size()));
      changed->now.synced = std::min(changed->now.synced, length);
      files_[slot.file] = std::move(changed);
      break;
    }
    default:
      break;
  }
  return ok();
}

Answer FileModel::rename(const std::string& from, const std::string& to) {
  const auto at = names().find(from);
  if (at == names().end() || !is_directory(parent_of(to))) return refused(Code::path_not_found);
  const int file = at->second;
  if (file != directory) {
    if (is_directory(to)) return refused(Code::other);
    if (file_at(to) == file) return ok();  // POSIX: two names of one file stay
    Names changed = names();
    changed.erase(from);
    changed[to] = file;
    set_names(std::move(changed));
    return ok();
  }
  if (from == to) return ok();
  if (is_below(to, from) || file_at(to) != directory) return refused(Code::other);
  for (const auto& [path, other] : names()) {
    if (is_below(path, to)) return refused(Code::other);
  }
  Names changed;
  for (const auto& [path, other] : names()) {
    const bool moves = path == from || is_below(path, from);
    changed[moves ? to + path.substr(from.size()) : path] = other;
  }
  set_names(std::move(changed));
  return ok();
}

Answer FileModel::run_naming(const Op& op) {
  const auto at = names().find(op.path);
  const bool is_there = at != names().end();
  switch (op.kind) {
    case Kind::make_directory:
    case Kind::make_directory_if_missing: {
      const bool may_be = op.kind == Kind::make_directory_if_missing;
      if (is_directory(op.path)) return may_be ? ok() : refused(Code::other);
      if (is_there) return refused(Code::other);
      if (!is_directory(parent_of(op.path))) return refused(Code::path_not_found);
      Names changed = names();
      changed[op.path] = directory;
      set_names(std::move(changed));
      return ok();
    }
    case Kind::rename:
      return rename(op.path, op.to);
    case Kind::link: {
      if (!is_there || !is_directory(parent_of(op.to))) return refused(Code::path_not_found);
      if (at->second == directory || names().contains(op.to)) return refused(Code::other);
      Names changed = names();
      changed[op.to] = at->second;
      set_names(std::move(changed));
      return ok();
    }
    case Kind::sync_directory:
      if (!is_directory(op.path)) return refused(Code::path_not_found);
      history_ = {history_.back()};
      return ok();
    default:
      break;  // removing
  }
  if (!is_there) return refused(Code::path_not_found);
  if ((at->second == directory) != (op.kind == Kind::remove_directory)) {
    return refused(Code::other);
  }
  for (const auto& [path, file] : names()) {
    if (is_below(path, op.path)) return refused(Code::other);
  }
  Names changed = names();
  changed.erase(op.path);
  set_names(std::move(changed));
  return ok();
}

Answer FileModel::run_looking(const Op& op) const {
  if (op.kind == Kind::list) {
    if (!is_directory(op.path)) return refused(Code::not_found);
    const std::string prefix = op.path == "/" ? op.path : op.path + "/";
    std::string children;
    for (const auto& [path, file] : names()) {
      if (path.starts_with(prefix) && path.find('/', prefix.size()) == std::string::npos) {
        children += path.substr(prefix.size()) + "\n";
      }
    }
    return ok(children);
  }
  if (!is_directory(op.path) && !names().contains(op.path)) {
    return refused(op.kind == Kind::exists ? Code::not_found : Code::path_not_found);
  }
  if (op.kind == Kind::exists) return ok();
  if (op.kind == Kind::is_directory) return ok(is_directory(op.path) ? "yes" : "no");
  const int file = file_at(op.path);
  if (file == directory) return refused(Code::other);
  const std::string& bytes = files_.at(file)->now.bytes;
  if (op.kind == Kind::size) return ok(std::to_string(bytes.size()));
  if (op.kind == Kind::read) return ok(bytes);
  return ok(op.offset < bytes.size() ? bytes.substr(static_cast<std::size_t>(op.offset),
                                                    static_cast<std::size_t>(op.length))
                                     : "");
}

Tree FileModel::tree() const {
  Tree tree;
  for (const auto& [path, file] : names()) {
    auto& entry = tree[path];
    if (file != directory) entry = files_.at(file)->now.bytes;
  }
  return tree;
}

std::vector<std::string> FileModel::files() const {
  std::vector<std::string> files;
  for (const auto& [path, file] : names()) {
    if (file != directory) files.push_back(path);
  }
  return files;
}

std::string FileModel::difference_to(const Tree& found) const {
  const Tree expected = tree();
  for (const auto& [path, bytes] : expected) {
    const auto at = found.find(path);
    if (at == found.end()) return fmt::format("{} is missing", path);
    if (at->second.has_value() != bytes.has_value()) {
      return fmt::format("{} is a {}", path, bytes ? "directory" : "file");
    }
    if (at->second != bytes) {
      const auto [is, should] = std::ranges::mismatch(*at->second, *bytes);
      return fmt::format("{} has {} bytes and should have {}; they differ at byte {}", path,
                         at->second->size(), bytes->size(), is - at->second->begin());
    }
  }
  for (const auto& [path, bytes] : found) {
    if (!expected.contains(path)) return fmt::format("{} should not be there", path);
  }
  return "";
}

bool FileModel::names_fit(const Tree& found, const Names& names) const {
  return std::ranges::equal(found, names, [](const auto& is, const auto& should) {
    return is.first == should.first && is.second.has_value() == (should.second != directory);
  });
}

bool FileModel::may_be(const std::string& found, const Content& content, bool log) {
  if (found.size() < content.synced || !content.bytes.starts_with(found)) return false;
  return !log || found.empty() || std::ranges::binary_search(content.ends, found.size());
}

std::string FileModel::problem_with_files(const Tree& found, const Names& names,
                                          const FileModel& ceiling) const {
  std::map<int, const std::string*> by_file;
  for (const auto& [path, id] : names) {
    if (id == directory) continue;
    const std::string& bytes = *found.at(path);
    const File& most = *ceiling.files_.at(id);
    const auto at_least = files_.find(id);
    const auto fits = [&](const File& file) {
      return may_be(bytes, file.now, file.log) ||
             std::ranges::any_of(file.before, [&](const Content& content) {
               return may_be(bytes, content, file.log);
             });
    };
    if (!fits(most) && (at_least == files_.end() || !fits(*at_least->second))) {
      const Content& floor = at_least == files_.end() ? Content{} : at_least->second->now;
      return fmt::format("{} has {} bytes, {} of {}, of which {} are synced", path, bytes.size(),
                         most.now.bytes.starts_with(bytes) ? "the first" : "but not the first",
                         most.now.bytes.size(), floor.synced);
    }
    const auto [other, added] = by_file.try_emplace(id, &bytes);
    if (!added && *other->second != bytes) return fmt::format("{} differs from its link", path);
  }
  for (const auto& [path, id] : names) {
    if (id == directory || found.at(path)->empty()) continue;
    for (const auto& [older, size] : ceiling.files_.at(id)->after) {
      const auto at = by_file.find(older);
      if (at != by_file.end() && at->second->size() < size) {
        return fmt::format("{} has bytes, and a log before it has only {} of {}", path,
                           at->second->size(), size);
      }
    }
  }
  return "";
}

bool FileModel::are_files_of(const Identities& identities, const Names& names) {
  std::map<std::string, int> files;
  std::map<int, std::string> back;
  for (const auto& [path, identity] : identities) {
    const int file = names.at(path);
    if (files.try_emplace(identity, file).first->second != file ||
        back.try_emplace(file, identity).first->second != identity) {
      return false;
    }
  }
  return true;
}

std::shared_ptr<const FileModel::Names> FileModel::fitting(const Tree& found,
                                                           const FileModel& ceiling,
                                                           const Identities& identities,
                                                           std::string* problem) const {
  for (const FileModel* model : {this, &ceiling}) {
    for (const auto& names : model->history_) {
      if (!names_fit(found, *names) || !are_files_of(identities, *names)) continue;
      *problem = problem_with_files(found, *names, ceiling);
      if (problem->empty()) return names;
    }
  }
  return nullptr;
}

std::string FileModel::problem_with(const Tree& found, const FileModel& ceiling,
                                    const Identities& identities) const {
  std::string problem;
  if (fitting(found, ceiling, identities, &problem) || !problem.empty()) return problem;
  std::string list;
  for (const auto& [path, bytes] : found) list += " " + path;
  return fmt::format(
      "the names are those of no moment since the last sync of names: {}; but for "
      "those last asked for: {}",
      list, ceiling.difference_to(found));
}

FileModel FileModel::settled_as(const Tree& found, const FileModel& ceiling,
                                const Identities& identities) const {
  std::string problem;
  const auto names = fitting(found, ceiling, identities, &problem);
  FileModel settled;
  settled.next_file_ = std::max(next_file_, ceiling.next_file_);
  settled.serial_ = std::max(serial_, ceiling.serial_);
  if (!names) return settled;
  settled.history_ = {names};
  for (const auto& [path, file] : *names) {
    if (file == directory) continue;
    const std::string& bytes = *found.at(path);
    settled.files_[file] = std::make_shared<const File>(
        File{.log = ceiling.files_.at(file)->log,
             .write_ahead = ceiling.files_.at(file)->write_ahead,
             .now = {.bytes = bytes, .synced = bytes.size(), .ends = {bytes.size()}}});
  }
  return settled;
}

}  // namespace once::testing
