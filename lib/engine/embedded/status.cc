#include "engine/embedded/status.h"

#include <fmt/format.h>

namespace once::engine {
namespace {

ErrorCode code_of(const rocksdb::Status& status) {
  if (status.IsNoSpace()) return ErrorCode::no_space;
  // RocksDB hands out errno as text only, and so what it met while it looked for its options.
  const std::string text = status.ToString();
  const auto says = [&](const char* words) { return text.find(words) != std::string::npos; };
  if (status.IsCorruption() || (status.IsInvalidArgument() && says("Corruption: "))) {
    return ErrorCode::damaged;
  }
  if (says("No space left")) return ErrorCode::no_space;
  if (says("Permission denied") || says("Read-only file system")) return ErrorCode::permission;
  if (status.IsNotFound() || status.IsPathNotFound() || says("No such file") ||
      says("create_if_missing is false")) {
    return ErrorCode::damaged;
  }
  return ErrorCode::io;
}

const char* advice(ErrorCode code) {
  switch (code) {
    case ErrorCode::no_space:
      return "free some space and try again";
    case ErrorCode::permission:
      return "check who owns the files and who runs this program";
    case ErrorCode::damaged:
      return "restore a backup, or save what can be read: `once salvage STORE FRESH`";
    default:
      return "check the disk and the system's log, then open the store again";
  }
}

}  // namespace

Error to_error(const rocksdb::Status& status, std::string_view place) {
  const ErrorCode code = code_of(status);
  return {.code = code,
          .message = fmt::format("{}: {}; {}", place, status.ToString(), advice(code))};
}

}  // namespace once::engine
