#include "container/file_program.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

namespace once::testing {

using rocksdb::FileOptions;
using rocksdb::IOOptions;
using rocksdb::IOStatus;
using rocksdb::Slice;
using Kind = Op::Kind;

namespace {

constexpr const char* kind_names[op_kinds] = {
    "create", "reopen",   "reuse",   "append",         "sync",         "close",
    "drop",   "allocate", "cut",     "make_directory", "make_missing", "remove_directory",
    "rename", "link",     "remove",  "sync_directory", "list",         "exists",
    "size",   "read",     "read_at", "is_directory",   "give_back",    "compact",
    "restart"};

Answer::Code code_of(const Op& op, const IOStatus& status) {
  if (status.ok()) return Answer::Code::ok;
  if (status.IsNoSpace()) return Answer::Code::no_space;
  // RocksDB's own file system says NotFound where it lists; those who list take either.
  if (status.IsNotFound() || (op.kind == Kind::list && status.IsPathNotFound())) {
    return Answer::Code::not_found;
  }
  return status.IsPathNotFound() ? Answer::Code::path_not_found : Answer::Code::other;
}

}  // namespace

bool Op::changes_names() const {
  switch (kind) {
    case Kind::create:
    case Kind::reopen:
    case Kind::reuse:
    case Kind::make_directory:
    case Kind::make_directory_if_missing:
    case Kind::remove_directory:
    case Kind::rename:
    case Kind::link:
    case Kind::remove:
      return true;
    default:
      return false;
  }
}

std::string Op::describe() const {
  std::string text = kind_names[static_cast<std::size_t>(kind)];
  if (!path.empty()) text += " " + path;
  if (!to.empty()) text += " " + to;
  if (length > 0 || kind == Kind::append || kind == Kind::cut) text += fmt::format(" {}", length);
  if (offset > 0) text += fmt::format(" at {}", offset);
  if (kind <= Kind::cut) text += fmt::format(" (slot {})", slot);
  return text;
}

std::string Answer::describe() const {
  switch (code) {
    case Code::ok:
      return fmt::format("ok, {} bytes", value.size());
    case Code::not_found:
      return "not found: " + message;
    case Code::path_not_found:
      return "path not found: " + message;
    case Code::no_space:
      return "no space: " + message;
    case Code::other:
      return "error: " + message;
  }
  return "?";
}

std::string bytes_of(std::uint64_t serial, std::size_t length) {
  std::string bytes(length, '\0');
  std::uint64_t state = serial * 0x9e3779b97f4a7c15 + 1;
  for (std::size_t i = 0; i < length; ++i) {
    if (i % 8 == 0) {
      state ^= state << 13;
      state ^= state >> 7;
      state ^= state << 17;
    }
    bytes[i] = static_cast<char>(static_cast<std::uint8_t>(state >> (i % 8 * 8)));
  }
  return bytes;
}

bool is_log_name(const std::string& path) {
  const std::string name = path.substr(path.rfind('/') + 1);
  return name.ends_with(".log") || name.starts_with("MANIFEST-");
}

Answer Runner::run(const Op& op) {
  Answer answer;
  IOStatus status;
  Slot& slot = slots_[op.slot % program_slots];
  if (op.kind <= Kind::cut) {
    status = run_writing(op, slot);
  } else if (op.kind <= Kind::sync_directory) {
    status = run_naming(op);
  } else if (op.kind <= Kind::is_directory) {
    status = run_looking(op, &answer.value);
  } else {
    if (op.kind == Kind::restart) let_go();
    if (container) status = container(op.kind);
  }
  answer.code = code_of(op, status);
  if (!status.ok()) {
    answer.value.clear();
    answer.message = status.ToString();
  }
  return answer;
}

void Runner::let_go() {
  for (Slot& slot : slots_) slot.reset();
}

void Runner::replace(std::shared_ptr<rocksdb::FileSystem> file_system) {
  let_go();
  file_system_ = std::move(file_system);
}

IOStatus Runner::run_writing(const Op& op, Slot& slot) {
  const IOOptions options;
  const bool opens = op.kind <= Kind::reuse;
  if (opens) {
    slot.reset();
  } else if (op.kind == Kind::append) {
    ++serial_;
  }
  if (!opens && !slot) return IOStatus::IOError("nothing is open in this slot");
  switch (op.kind) {
    case Kind::create:
      return file_system_->NewWritableFile(root_ + op.path, FileOptions(), &slot, nullptr);
    case Kind::reopen:
      return file_system_->ReopenWritableFile(root_ + op.path, FileOptions(), &slot, nullptr);
    case Kind::reuse:
      return file_system_->ReuseWritableFile(root_ + op.path, root_ + op.to, FileOptions(), &slot,
                                             nullptr);
    case Kind::append: {
      const std::string bytes = bytes_of(serial_, static_cast<std::size_t>(op.length));
      IOStatus status = slot->Append(bytes, options, nullptr);
      return status.ok() ? slot->Flush(options, nullptr) : status;
    }
    case Kind::sync:
      return slot->Sync(options, nullptr);
    case Kind::close: {
      IOStatus status = slot->Close(options, nullptr);
      slot.reset();
      return status;
    }
    case Kind::drop:
      slot.reset();
      return IOStatus::OK();
    case Kind::allocate:
      return slot->Allocate(op.offset, op.length, options, nullptr);
    default:
      return slot->Truncate(op.length, options, nullptr);
  }
}

IOStatus Runner::run_naming(const Op& op) {
  const IOOptions options;
  const std::string path = root_ + op.path;
  const std::string to = root_ + op.to;
  switch (op.kind) {
    case Kind::make_directory:
      return file_system_->CreateDir(path, options, nullptr);
    case Kind::make_directory_if_missing:
      return file_system_->CreateDirIfMissing(path, options, nullptr);
    case Kind::remove_directory:
      return file_system_->DeleteDir(path, options, nullptr);
    case Kind::rename:
      return file_system_->RenameFile(path, to, options, nullptr);
    case Kind::link:
      return file_system_->LinkFile(path, to, options, nullptr);
    case Kind::remove:
      return file_system_->DeleteFile(path, options, nullptr);
    default: {
      std::unique_ptr<rocksdb::FSDirectory> directory;
      IOStatus status = file_system_->NewDirectory(path, options, &directory, nullptr);
      if (status.ok()) {
        status = directory->FsyncWithDirOptions(options, nullptr, rocksdb::DirFsyncOptions());
      }
      if (status.ok()) status = directory->Close(options, nullptr);
      return status;
    }
  }
}

IOStatus Runner::run_looking(const Op& op, std::string* value) {
  const IOOptions options;
  const std::string path = root_ + op.path;
  switch (op.kind) {
    case Kind::list: {
      std::vector<std::string> children;
      IOStatus status = file_system_->GetChildren(path, options, &children, nullptr);
      std::ranges::sort(children);
      for (const std::string& child : children) *value += child + "\n";
      return status;
    }
    case Kind::exists:
      return file_system_->FileExists(path, options, nullptr);
    case Kind::size: {
      std::uint64_t size = 0;
      IOStatus status = file_system_->GetFileSize(path, options, &size, nullptr);
      *value = std::to_string(size);
      return status;
    }
    case Kind::read:
      return read_whole(*file_system_, path, value);
    case Kind::read_at: {
      std::unique_ptr<rocksdb::FSRandomAccessFile> file;
      IOStatus status = file_system_->NewRandomAccessFile(path, FileOptions(), &file, nullptr);
      if (!status.ok()) return status;
      std::string scratch(static_cast<std::size_t>(op.length), '?');
      Slice found;
      status = file->Read(op.offset, scratch.size(), options, &found, scratch.data(), nullptr);
      if (status.ok()) *value = found.ToString();
      return status;
    }
    default: {
      bool is = false;
      IOStatus status = file_system_->IsDirectory(path, options, &is, nullptr);
      *value = is ? "yes" : "no";
      return status;
    }
  }
}

IOStatus read_whole(rocksdb::FileSystem& file_system, const std::string& path, std::string* bytes) {
  std::unique_ptr<rocksdb::FSSequentialFile> file;
  IOStatus status = file_system.NewSequentialFile(path, FileOptions(), &file, nullptr);
  if (!status.ok()) return status;
  bytes->clear();
  std::string scratch(std::size_t{32} << 10, '\0');  // RocksDB reads logs in blocks of this size
  while (true) {
    Slice found;
    status = file->Read(scratch.size(), IOOptions(), &found, scratch.data(), nullptr);
    if (!status.ok()) return status;
    bytes->append(found.data(), found.size());
    if (found.size() < scratch.size()) return status;
  }
}

IOStatus read_tree(rocksdb::FileSystem& file_system, const std::string& root, Tree* tree) {
  std::vector<std::string> children;
  IOStatus status =
      file_system.GetChildren(root.empty() ? "/" : root, IOOptions(), &children, nullptr);
  for (const std::string& child : children) {
    const std::string path = root + "/" + child;
    bool is_directory = false;
    if (status.ok()) status = file_system.IsDirectory(path, IOOptions(), &is_directory, nullptr);
    if (!status.ok()) return status;
    auto& entry = (*tree)[path];
    if (is_directory) {
      status = read_tree(file_system, path, tree);
    } else {
      status = read_whole(file_system, path, &entry.emplace());
    }
    if (!status.ok()) return status;
  }
  return status;
}

Identities read_identities(rocksdb::FileSystem& file_system, const Tree& tree) {
  Identities identities;
  for (const auto& [path, bytes] : tree) {
    std::unique_ptr<rocksdb::FSRandomAccessFile> file;
    if (!bytes || !file_system.NewRandomAccessFile(path, FileOptions(), &file, nullptr).ok()) {
      continue;
    }
    char identity[64];
    identities[path] = std::string(identity, file->GetUniqueId(identity, sizeof identity));
  }
  return identities;
}

}  // namespace once::testing
